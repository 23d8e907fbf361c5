package master

import (
	"context"
	"errors"
	"fmt"
	"net"

	"muxd/control"
	"muxd/internal/reach"
)

// byCommand connects to the destination by its ProxyCommand, which carries the
// bytes or, with ProxyUseFdpass, hands a connection over. What it says on stderr
// goes to whoever waits for the connection, and to the log afterwards; heard
// waits until it was passed on, and may be nil.
func (m *Master) byCommand(ctx context.Context, d *destination, p control.Prompter) (nc net.Conn, heard func(), err error) {
	debugf(p, d, 1, "executing proxy command: %s", d.proxy)
	c := reach.Command{Shell: d.proxyShell, Line: d.proxy, Env: d.proxyEnv, To: d.addr(), Said: func(line string) {
		if len(line) > 0 && !quiet(d.conf) {
			p.Notice(line)
		}
		m.cfg.Log.Debug("ProxyCommand", "host", d.name, "said", line)
	}}
	if d.conf.ProxyUseFdpass() {
		nc, heard, err = c.Pass(ctx, d.connectLimit(handshakeTimeout))
	} else {
		nc, err = c.Pipe()
	}
	if err == nil || ctx.Err() != nil {
		return nc, heard, err
	}
	phase := control.Refused
	if start := (*reach.StartError)(nil); errors.As(err, &start) {
		phase = control.NotDialled
	}
	return nil, nil, &control.Error{Phase: phase, Host: d.name, Text: fmt.Sprintf("ProxyCommand: %v", err)}
}

// setProxy takes a ProxyCommand into the destination, with what it needs of the
// client. The shell is the client's, as for ssh (sshconnect.c, ssh_proxy_connect).
func (d *destination) setProxy(v *control.Invocation) error {
	d.proxy = d.conf.ProxyCommand()
	if d.proxy == "" {
		return nil
	}
	if d.proxy == "-" {
		return errors.New("ProxyCommand - means a connection on ssh's own standard input, which the background process does not have")
	}
	d.proxyEnv = v.Env
	if d.proxyShell = v.Getenv("SHELL"); d.proxyShell == "" {
		d.proxyShell = "/bin/sh"
	}
	return nil
}

// way is what a connection's slot is counted by: the server or, where there is
// one, the jump host that it goes through, whose network it would flood; a
// ProxyCommand by its text, because nobody knows where it leads.
func (d *destination) way() string {
	switch {
	case d.via != nil:
		return "via " + d.via.key
	case d.proxy != "":
		return "by " + d.proxy
	}
	return "to " + d.addr()
}
