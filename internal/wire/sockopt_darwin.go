package wire

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// tcpRxtConnDropTime is TCP_RXT_CONNDROPTIME of netinet/tcp.h, which x/sys does
// not name: seconds of unanswered retransmission before a connection is dropped.
const tcpRxtConnDropTime = 0x80

func setUserTimeout(tc *net.TCPConn, d time.Duration) error {
	return onSocket(tc, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, tcpRxtConnDropTime, int(d.Seconds()))
	})
}

func setTOS(fd int, v6 bool, tos int) error {
	if v6 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tos)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, tos)
}
