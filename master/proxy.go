package master

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"muxd/control"
	"muxd/internal/child"
	"muxd/internal/dest"
	"muxd/internal/login"
	"muxd/internal/reach"
)

// byCommand connects to the destination by its ProxyCommand, which carries the
// bytes or, with ProxyUseFdpass, hands a connection over. What it says on stderr
// goes to whoever waits for the connection, and to the log afterwards; heard
// waits until it was passed on, and may be nil.
func (m *Master) byCommand(ctx context.Context, d *dest.Destination, p control.Prompter) (nc net.Conn, heard func(), err error) {
	d.Debugf(p, 1, "executing proxy command: %s", d.Proxy)
	c := reach.Command{Shell: d.ProxyShell, Line: d.Proxy, Env: d.ProxyEnv, To: d.Addr(), Said: func(line string) {
		if len(line) > 0 && !d.Conf.Quiet() {
			p.Notice(line)
		}
		m.cfg.Log.Debug("ProxyCommand", "host", d.Name, "said", line)
	}}
	if d.Conf.ProxyUseFdpass() {
		nc, heard, err = c.Pass(ctx, d.ConnectLimit(login.Timeout))
	} else {
		nc, err = c.Pipe()
	}
	if err == nil || ctx.Err() != nil {
		return nc, heard, err
	}
	e := &control.Error{Phase: control.Refused, Host: d.Name, Text: fmt.Sprintf("ProxyCommand: %v", err)}
	why, start := login.Unrunnable(err), (*reach.StartError)(nil)
	if errors.As(err, &start) {
		e.Phase, e.Text = control.NotDialled, fmt.Sprintf("ProxyCommand: %v", child.Scarce(err))
	}
	switch {
	case why != "":
		e.Text += " (" + why + ")"
	case start == nil, !errors.Is(start, fs.ErrNotExist) && !errors.Is(start, fs.ErrPermission):
		return nil, nil, e
	}
	return nil, nil, &login.NeedsPerson{Err: e} // no shell, or no such command: the configuration's fault
}
