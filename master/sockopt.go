package master

import (
	"errors"
	"net"
	"time"

	"muxd/internal/dest"
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
// is set where the person said how long silence may last. TCPNoDelay is ours and
// on by default. A connection begins in IPQoS's second class and is in the first
// while terminals are all it carries (link.mark).
func tune(nc net.Conn, d *dest.Destination) error {
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	idle, _ := d.Conf.TCPKeepAliveIdle()
	interval, _ := d.Conf.TCPKeepAliveInterval()
	count, _ := d.Conf.TCPKeepAliveCount()
	const system = -1 // leaves the system's value
	err := tc.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: d.Conf.TCPKeepAlive(),
		Idle:   orSystem(idle), Interval: orSystem(interval), Count: orCount(count, system),
	})
	timeout, _ := d.Conf.TCPUserTimeout()
	if timeout == 0 && d.Alive.Set && d.Alive.Interval > 0 {
		timeout = time.Duration(d.Alive.CountMax+1)*d.Alive.Interval + userTimeoutSlack
	}
	if timeout > 0 {
		err = errors.Join(err, setUserTimeout(tc, timeout))
	}
	_, bulk := d.Conf.IPQoS()
	return errors.Join(err, tc.SetNoDelay(d.Conf.TCPNoDelay()), setQoS(tc, bulk))
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

// mark puts the connection into the class of what it carries: interactive while
// there are sessions and all of them have a terminal, as in OpenSSH (packet.c,
// ssh_packet_set_interactive). A command on an otherwise idle connection changes
// nothing and costs nothing. Called with mu held.
func (l *link) mark() {
	interactive := len(l.sessions) > 0
	for s := range l.sessions {
		interactive = interactive && s.r.TTY != nil
	}
	if interactive == l.interactive || l.tcp == nil {
		return
	}
	l.interactive = interactive
	tos := l.qos[1]
	if interactive {
		tos = l.qos[0]
	}
	if err := setQoS(l.tcp, tos); err != nil {
		l.log.Debug("socket option", "err", err)
	}
}
