package netwatch

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// groups are the messages that the kernel is asked for. Not neighbours, which
// come and go all day.
const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR |
	unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE |
	1<<(unix.RTNLGRP_IPV4_RULE-1) | 1<<(unix.RTNLGRP_IPV6_RULE-1)

// messages is the source of Linux: a socket of its own, which takes nothing but
// what the kernel multicasts. (Only root could send there too, and would earn
// a look.)
type messages struct {
	f   *os.File // of Go's poller, so that Close ends a Read
	buf []byte
}

func openSource() (source, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink groups: %w", err)
	}
	return &messages{f: os.NewFile(uintptr(fd), "netlink"), buf: make([]byte, 16<<10)}, nil
}

func (m *messages) Wait() (bool, error) {
	n, err := m.f.Read(m.buf)
	if errors.Is(err, unix.ENOBUFS) {
		return true, nil // messages were dropped: look
	}
	if err != nil {
		return false, err
	}
	// A datagram that fills the buffer was cut short, and then does not parse.
	return noteworthy(m.buf[:n]), nil
}

func (m *messages) Close() error { return m.f.Close() }

// noteworthy reports whether a datagram may say something that a snapshot
// shows. What is not understood may.
func noteworthy(b []byte) bool {
	for len(b) > 0 {
		typ, _, body, rest, ok := next(b)
		if !ok || matters(typ, body) {
			return true
		}
		b = rest
	}
	return false
}

func matters(typ uint16, body []byte) bool {
	switch typ {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		_, ok := parseLink(body)
		return ok || len(body) < unix.SizeofIfInfomsg
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		a, ok := parseAddress(body)
		return !ok || outward(a.prefix.Addr())
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		r, ok := parseRoute(body)
		return !ok || r.relevant()
	case unix.RTM_NEWRULE, unix.RTM_DELRULE, unix.NLMSG_OVERRUN:
		return true
	}
	return false
}
