package master

import (
	"time"

	"muxd/internal/dest"
	"muxd/internal/wire"
)

// userTimeoutSlack is how far TCP_USER_TIMEOUT lies beyond the liveness budget:
// the kernel's verdict must never come before ours, because it counts unread
// acknowledgements where we count bytes.
const userTimeoutSlack = 15 * time.Second

// socketOptions are the TCP options of a fresh connection to d.
//
// TCPKeepAlive means SO_KEEPALIVE with the system's times (two hours on Linux),
// as in ssh; TCPKeepAliveIdle, -Interval and -Count change them. TCP_USER_TIMEOUT
// is set where the person said how long silence may last. TCPNoDelay is ours and
// on by default. A connection begins in IPQoS's second class and is in the first
// while terminals are all it carries (mark in sshlink).
func socketOptions(d *dest.Destination) wire.Options {
	o := wire.Options{KeepAlive: d.Conf.TCPKeepAlive(), NoDelay: d.Conf.TCPNoDelay()}
	o.KeepAliveIdle, _ = d.Conf.TCPKeepAliveIdle()
	o.KeepAliveInterval, _ = d.Conf.TCPKeepAliveInterval()
	o.KeepAliveCount, _ = d.Conf.TCPKeepAliveCount()
	o.UserTimeout, _ = d.Conf.TCPUserTimeout()
	if o.UserTimeout == 0 && d.Alive.Set && d.Alive.Interval > 0 {
		o.UserTimeout = time.Duration(d.Alive.CountMax+1)*d.Alive.Interval + userTimeoutSlack
	}
	_, o.TOS = d.Conf.IPQoS()
	return o
}
