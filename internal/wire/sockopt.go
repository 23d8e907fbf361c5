package wire

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// Options are the TCP options of a connection. What is zero, or negative where
// zero means something, leaves the system's value.
type Options struct {
	KeepAlive         bool // SO_KEEPALIVE, which the next three go with
	KeepAliveIdle     time.Duration
	KeepAliveInterval time.Duration
	KeepAliveCount    int
	UserTimeout       time.Duration // how long what was sent may stay unacknowledged
	NoDelay           bool
	TOS               int // the DSCP value as the IP TOS octet; negative leaves the system's
}

// Set sets them on a fresh connection. One that is no TCP connection has none.
func (o Options) Set(nc net.Conn) error {
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	err := tc.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: o.KeepAlive,
		Idle:   orSystem(o.KeepAliveIdle), Interval: orSystem(o.KeepAliveInterval), Count: orSystem(o.KeepAliveCount),
	})
	if o.UserTimeout > 0 {
		err = errors.Join(err, setUserTimeout(tc, o.UserTimeout))
	}
	return errors.Join(err, tc.SetNoDelay(o.NoDelay), SetTOS(tc, o.TOS))
}

// orSystem is v, or what stands for the system's value.
func orSystem[T time.Duration | int](v T) T {
	if v <= 0 {
		return -1
	}
	return v
}

// onSocket runs a setsockopt on a connection's descriptor.
func onSocket(tc *net.TCPConn, f func(fd int) error) error {
	rc, err := tc.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := rc.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}

// SetTOS sets the DSCP value as the IP TOS octet; negative leaves the system's.
func SetTOS(tc *net.TCPConn, tos int) error {
	if tos < 0 {
		return nil
	}
	ip, _ := tc.RemoteAddr().(*net.TCPAddr)
	v6 := ip != nil && ip.IP.To4() == nil
	return onSocket(tc, func(fd int) error { return setTOS(fd, v6, tos) })
}

// LocalAddr is the address of this machine at its end of a connection, the zero
// Addr where it has none.
func LocalAddr(nc net.Conn) netip.Addr {
	c, ok := nc.(*net.TCPConn)
	if !ok {
		return netip.Addr{}
	}
	ap, _ := netip.ParseAddrPort(c.LocalAddr().String()) // the zero value too says none
	return ap.Addr().Unmap().WithZone("")
}
