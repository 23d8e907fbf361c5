package master

import (
	"context"
	"errors"
	"fmt"
	"net"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/hostkey"
)

// hostKeyCheck is the check of the server's key in one attempt to log in over a
// connection whose far end is peer. Before is the key of the last login.
func (m *Master) hostKeyCheck(ctx context.Context, a *attempt, peer net.Addr, before []byte) *hostkey.Check {
	check, notes := hostkey.New(ctx, a.server(peer, before, m.cfg.Home))
	for _, n := range notes {
		m.cfg.Log.Warn("known_hosts", "note", n.String())
	}
	return check
}

func (a *attempt) server(peer net.Addr, before []byte, home string) hostkey.Server {
	d := a.d
	s := hostkey.Server{Name: d.Name, User: d.User, Host: d.Host, Port: d.Port, Conf: d.Conf, Before: before, Home: home,
		Authorities: dest.CASignatureAlgorithms, Prompter: a.p, Run: a.runCommand,
		Debug: func(format string, args ...any) { debugf(a.p, d, 1, format, args...) }}
	if d.Via == nil && d.Proxy == "" {
		s.Peer = peer
	}
	return s
}

// runCommand has the client run KnownHostsCommand.
func (a *attempt) runCommand(ctx context.Context, argv []string) ([]byte, error) {
	debugf(a.p, a.d, 1, "running KnownHostsCommand %q", argv)
	r, err := a.p.Run(ctx, control.Command{Kind: control.CommandOutput, Args: argv})
	switch {
	case errors.Is(err, control.ErrNobody):
		return nil, hostkey.ErrNoRunner
	case err == nil && r.Status != 0:
		err = fmt.Errorf("it exited with status %d", r.Status)
	}
	return r.Output, err
}

// keyUpdate returns nil where nothing may be learned, also from a server that
// left a proof of its keys unanswered before.
func (h *host) keyUpdate(check *hostkey.Check) *hostkey.Update {
	if h.unproven.Load() {
		return nil
	}
	u := check.Updates()
	if u != nil {
		u.Unproven = h.unproven.Store
	}
	return u
}
