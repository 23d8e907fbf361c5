package master

import (
	"errors"
	"net"
	"time"
)

// userTimeoutSlack is how far TCP_USER_TIMEOUT lies beyond the liveness budget:
// the kernel's verdict must never come before ours, because it counts unread
// acknowledgements where we count bytes.
const userTimeoutSlack = 15 * time.Second

// tune sets the TCP options of a fresh connection by the destination's
// configuration. A connection that is no TCP connection has none.
//
// TCPKeepAlive means SO_KEEPALIVE with the system's times (two hours on Linux),
// as in ssh; TCPKeepAliveIdle, -Interval and -Count change them. TCP_USER_TIMEOUT
// is set where the person said how long silence may last. TCP_NODELAY is always
// on (Go's default), as ssh sets it for a terminal.
func tune(nc net.Conn, d *destination) error {
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	idle, _ := d.conf.TCPKeepAliveIdle()
	interval, _ := d.conf.TCPKeepAliveInterval()
	count, _ := d.conf.TCPKeepAliveCount()
	const system = -1 // leaves the system's value
	err := tc.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: d.conf.TCPKeepAlive(),
		Idle:   orSystem(idle), Interval: orSystem(interval), Count: orCount(count, system),
	})
	timeout, _ := d.conf.TCPUserTimeout()
	if timeout == 0 && d.alive.Set && d.alive.Interval > 0 {
		timeout = time.Duration(d.alive.CountMax+1)*d.alive.Interval + userTimeoutSlack
	}
	if timeout > 0 {
		err = errors.Join(err, setUserTimeout(tc, timeout))
	}
	return errors.Join(err, setQoS(tc, d.qos))
}

func orSystem(v time.Duration) time.Duration {
	if v <= 0 {
		return -1
	}
	return v
}

func orCount(v, none int) int {
	if v <= 0 {
		return none
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

// setQoS sets the DSCP value as the IP TOS octet; negative leaves the
// system's.
func setQoS(tc *net.TCPConn, tos int) error {
	if tos < 0 {
		return nil
	}
	ip, _ := tc.RemoteAddr().(*net.TCPAddr)
	v6 := ip != nil && ip.IP.To4() == nil
	return onSocket(tc, func(fd int) error { return setTOS(fd, v6, tos) })
}
