package sshlink

import (
	"fmt"
	"strings"

	"muxd/control"
	"muxd/internal/dest"
)

// maxRequest bounds a command, and any other payload of one request. sshd
// drops the whole connection, and with it everybody's sessions, for a packet
// above 256 KiB (packet.c, PACKET_MAX_SIZE); this leaves room for the rest of
// the packet.
const maxRequest = 256<<10 - 1024

func CheckRequest(d *dest.Destination, r *control.SessionRequest) error {
	if n := len(r.Command); n > maxRequest {
		return &control.Error{Phase: control.NotDialled, Host: d.Name,
			Text: fmt.Sprintf("the command is %d bytes long, and no SSH server takes more than %d: pass it on stdin", n, maxRequest)}
	}
	for _, kv := range r.Env {
		if len(kv) > maxRequest {
			name, _, _ := strings.Cut(kv, "=")
			return &control.Error{Phase: control.NotDialled, Host: d.Name,
				Text: fmt.Sprintf("the environment variable %.100q is %d bytes long, and no SSH server takes more than %d", name, len(kv), maxRequest)}
		}
	}
	if t := r.TTY; t != nil && len(t.Term)+len(t.Modes) > maxRequest {
		return &control.Error{Phase: control.NotDialled, Host: d.Name,
			Text: fmt.Sprintf("the terminal's type and modes are %d bytes long, and no SSH server takes more than %d", len(t.Term)+len(t.Modes), maxRequest)}
	}
	return nil
}

// CheckAddresses is CheckRequest for what is connected to or listened at.
func CheckAddresses(d *dest.Destination, all ...control.Endpoint) error {
	for _, e := range all {
		if n := len(e.Host) + len(e.Path); n > maxRequest {
			return &control.Error{Phase: control.NotDialled, Host: d.Name,
				Text: fmt.Sprintf("the address is %d bytes long, and no SSH server takes more than %d", n, maxRequest)}
		}
	}
	return nil
}
