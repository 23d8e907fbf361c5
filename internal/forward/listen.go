package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"muxd/control"
)

// keepAlive finds clients that are gone without a word, of listeners that other
// machines reach. OpenSSH leaves it to the system's default, which is never.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Minute, Interval: time.Minute, Count: 5}

// dialer is the system's for the targets of remote forwards.
func dialer() *net.Dialer {
	return &net.Dialer{KeepAliveConfig: keepAlive}
}

// listen is Config.Listen by the system's means. With listeners, the error is
// about addresses that could not be had beside.
func listen(at control.Endpoint, how control.ForwardOptions) ([]net.Listener, error) {
	if at.Path != "" {
		l, err := listenUnix(at.Path, how)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	network := how.Network
	if network == "" {
		network = "tcp"
	}
	var got []net.Listener
	var first error
	for _, host := range hosts(at.Host, network) {
		l, err := listenTCP(network, host, at.Port)
		if err == nil {
			got = append(got, l)
		} else if first == nil && (len(got) == 0 || !absent(err)) {
			first = err
		}
	}
	return got, first
}

// hosts are the addresses of a listening host. As in OpenSSH (channels.c,
// channel_fwd_bind_addr and channel_setup_fwd_listener_tcpip) "localhost" is
// both loopback addresses whatever the resolver says, and listening on one of
// them is enough.
func hosts(host, network string) []string {
	switch host {
	case "localhost":
		switch network {
		case "tcp4":
			return []string{"127.0.0.1"}
		case "tcp6":
			return []string{"::1"}
		}
		return []string{"127.0.0.1", "::1"}
	case "*", "":
		switch network {
		case "tcp4":
			return []string{"0.0.0.0"}
		case "tcp6":
			return []string{"::"}
		}
		return []string{""} // one socket for both families, or IPv4 where there is no other
	}
	return []string{host}
}

func listenTCP(network, host string, port int) (net.Listener, error) {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	if port < 1 || port > 65535 {
		return nil, fmt.Errorf("listen on %s: the port must be from 1 to 65535", addr)
	}
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	lc.SetMultipathTCP(false) // half of the machines between know nothing of it, and Go listens with it by itself
	l, err := lc.Listen(context.Background(), network, addr)
	if err == nil {
		return l, nil
	}
	err = cause(err)
	hint := ""
	switch {
	case errors.Is(err, syscall.EACCES) && port < 1024:
		hint = " (ports below 1024 are root's)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = " (no interface has it)"
	}
	return nil, fmt.Errorf("listen on %s: %w%s", addr, err, hint)
}

// absent reports that the machine has no such address, which says nothing about
// the others.
func absent(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPROTONOSUPPORT)
}

// cause takes off what package net puts before the system's error: which call
// it was and which addresses, that the caller says better.
func cause(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err
	}
	if call := (*os.SyscallError)(nil); errors.As(err, &call) {
		return call.Err
	}
	return err
}
