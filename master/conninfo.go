package master

import (
	"bytes"
	"fmt"

	"muxd/control"
)

// connectionText is -O conninfo: what there is to know of the connections, a
// fact a line.
func connectionText(h control.HostStatus) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "destination %s\nuser %s\naddress %s\nstate %s\nlogins %d\n",
		control.CleanLine(h.Name), control.CleanLine(h.User), h.Addr, h.State, h.Logins)
	for i, l := range h.Links {
		fmt.Fprintf(&b, "connection %d: %s, to %s, %s, authenticated by %s\n", i, l.State, l.Remote, control.CleanLine(l.Server), control.CleanLine(l.Auth))
		fmt.Fprintf(&b, "  %d sessions, %d bytes received, %d sent\n", l.Sessions, l.In, l.Out)
	}
	return b.Bytes()
}

// channelsText is -O channels: the sessions and forwards, one a line.
func channelsText(h control.HostStatus) []byte {
	var b bytes.Buffer
	for _, s := range h.Sessions {
		tty := ""
		if s.TTY {
			tty = ", with a terminal"
		}
		fmt.Fprintf(&b, "%s%s of pid %d, %d bytes received, %d sent\n", s.Kind, tty, s.PID, s.Out, s.In)
	}
	for _, f := range h.Forwards {
		fmt.Fprintf(&b, "%s %s, %d connections\n", f.Forward, f.State, f.Open)
	}
	return b.Bytes()
}
