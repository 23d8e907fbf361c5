package dest

import (
	"errors"

	"muxd/control"
)

// setProxy takes a ProxyCommand into the destination, with what it needs of the
// client. The shell is the client's, as for ssh (sshconnect.c, ssh_proxy_connect).
func (d *Destination) setProxy(v *control.Invocation) error {
	d.Proxy = d.Conf.ProxyCommand()
	if d.Proxy == "" {
		return nil
	}
	if d.Proxy == "-" {
		return errors.New("ProxyCommand - means a connection on ssh's own standard input, which the background process does not have")
	}
	d.ProxyEnv = v.Env
	if d.ProxyShell = v.Getenv("SHELL"); d.ProxyShell == "" {
		d.ProxyShell = "/bin/sh"
	}
	return nil
}

// Way is what a connection's slot is counted by: the server or, where there is
// one, the jump host that it goes through, whose network it would flood; a
// ProxyCommand by its text, because nobody knows where it leads.
func (d *Destination) Way() string {
	switch {
	case d.Via != nil:
		return "via " + d.Via.Key
	case d.Proxy != "":
		return "by " + d.Proxy
	}
	return "to " + d.Addr()
}
