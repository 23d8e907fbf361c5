package login

import (
	"context"
	"errors"
	"fmt"
	"net"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/hostkey"
)

// server is how the key of the server is checked, over a connection whose far end is
// peer.
func (a *attempt) server(peer net.Addr) hostkey.Server {
	d := a.Dest
	s := hostkey.Server{Name: d.Name, User: d.User, Host: d.Host, Port: d.Port, Conf: d.Conf, Before: a.Before, Home: a.Home,
		Authorities: dest.CASignatureAlgorithms, Prompter: a.p, Run: a.runCommand,
		Debug: func(format string, args ...any) { d.Debugf(a.p, 1, format, args...) }}
	if d.Via == nil && d.Proxy == "" {
		s.Peer = peer
	}
	return s
}

// runCommand has the client run KnownHostsCommand.
func (a *attempt) runCommand(ctx context.Context, argv []string) ([]byte, error) {
	a.Dest.Debugf(a.p, 1, "running KnownHostsCommand %q", argv)
	r, err := a.p.Run(ctx, control.Command{Kind: control.CommandOutput, Args: argv})
	switch {
	case errors.Is(err, control.ErrNobody):
		return nil, hostkey.ErrNoRunner
	case err == nil && r.Status != 0:
		err = fmt.Errorf("it exited with status %d", r.Status)
	}
	return r.Output, err
}
