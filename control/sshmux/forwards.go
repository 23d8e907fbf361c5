package sshmux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"muxd/control"
	"muxd/internal/proc"
)

// held is a client's part in a forward that it asked for. It ends with the
// client; what -O forward asks for is sticky, and stays.
type held struct {
	r       *control.ForwardRequest
	release func()
}

// release ends the client's part in its forwards.
func (c *client) release() {
	c.mu.Lock()
	all := c.forwards
	c.forwards = nil
	c.mu.Unlock()
	for _, h := range all {
		h.release()
	}
}

var errForward = errors.New("invalid forwarding request")

// forwardOf is what the message means (mux.c, mux_master_process_open_fwd).
func (c *client) forwardOf(r *request) (f control.Forward, err error) {
	f.Connect = end(r.connect)
	f.Listen = end(r.listen)
	switch r.forward {
	case forwardLocal:
		f.Kind = control.ForwardLocal
	case forwardDynamic:
		f.Kind, f.Connect = control.ForwardDynamic, control.Endpoint{}
	case forwardRemote:
		f.Kind = control.ForwardRemote
		if r.connect.host == "socks" && r.connect.port == 0 || r.connect == (endpoint{}) {
			f.Kind, f.Connect = control.ForwardRemoteDynamic, control.Endpoint{}
		}
	default:
		return f, errForward
	}
	for _, p := range []endpoint{r.listen, r.connect} {
		if p.port != pathPort && p.port > 65535 {
			return f, errForward
		}
	}
	switch {
	case f.Listen.Path == "" && f.Listen.Port == 0 && !f.Kind.Remote(),
		!f.Kind.Dynamic() && f.Connect.Path == "" && (f.Connect.Host == "" || f.Connect.Port == 0),
		r.listen.port == pathPort && r.listen.host == "", r.connect.port == pathPort && r.connect.host == "":
		return f, errForward
	}
	if f.Listen.Path == "" {
		f.Listen.Host = c.listensAt(r.listen.host, f.Kind.Remote())
	}
	if f.Kind.Remote() {
		f.Connect.Path = c.absolute(f.Connect.Path)
	} else {
		f.Listen.Path = c.absolute(f.Listen.Path)
	}
	return f, nil
}

// absolute is a path on this side as the client means it, who is in another
// directory than muxd.
func (c *client) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	dir := proc.Dir(c.peer.pid)
	if dir == "" {
		dir = c.d.wants().Dir
	}
	return filepath.Join(dir, path)
}

// listensAt settles where a forward listens: what was not said by GatewayPorts,
// which for a remote one is the server's to decide (channels.c,
// channel_fwd_bind_addr).
func (c *client) listensAt(host string, remote bool) string {
	switch {
	case host == "*", host == "" && !remote && c.d.wants().Gateway:
		return "*"
	case host == "":
		return "localhost"
	}
	return host
}

func end(p endpoint) control.Endpoint {
	if p.port == pathPort {
		return control.Endpoint{Path: p.host}
	}
	return control.Endpoint{Host: p.host, Port: int(p.port)}
}

// openForward carries out an OPEN_FWD. For -O forward a failure is told. Before
// a session it would have ssh log in by itself; there it is a warning, as it is
// without a master, and the forward is tried again for as long as the client is
// there. With ExitOnForwardFailure ssh is to end: it is told so in the place of
// its session, where it ends with the reason and does not log in first.
func (c *client) openForward(ctx context.Context, r *request) error {
	f, err := c.forwardOf(r)
	if err != nil {
		return c.fail(r.id, err.Error())
	}
	if no := c.confirm(ctx, "Open %s on %s?", f, c.d.dest); no {
		return c.send(reply(denied, r.id, denial))
	}
	only, insists := c.peer.asksOnly(), c.peer.insists()
	want := c.d.wants()
	port := 0
	req := &control.ForwardRequest{Dest: c.dest(),
		Forwards: []control.Forward{f}, Options: want.Forwards, Sticky: c.peer.leaves(), Strict: only || insists, PID: c.peer.pid,
		Allocated: func(_ control.Forward, p int) { port = p }}
	release, err := c.d.s.Backend.Forward(ctx, req, newVisitor(c, nil))
	switch {
	case err != nil && insists && !only:
		c.miss(err)
		return c.send(reply(ok, r.id))
	case err != nil:
		return c.fail(r.id, err.Error())
	}
	c.mu.Lock()
	c.forwards = append(c.forwards, &held{r: req, release: release})
	c.mu.Unlock()
	if port != 0 {
		return c.send(reply(remotePort, r.id, uint32(port)))
	}
	return c.send(reply(ok, r.id))
}

// miss keeps why a forward cannot be had for the session that is not to be.
func (c *client) miss(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.missing == nil {
		c.missing = err
	}
}

// without ends a client that wants no session where a forward is missing.
func (c *client) without(m *message, missing error) error {
	m.close()
	if m.kind == newSession {
		c.refuse(m.id, missing)
	} else {
		c.fail(m.id, missing.Error())
	}
	return io.EOF
}

// closeForward carries out a CLOSE_FWD.
func (c *client) closeForward(ctx context.Context, r *request) error {
	f, err := c.forwardOf(r)
	if err != nil {
		return c.fail(r.id, err.Error())
	}
	m, err := c.d.s.Backend.Manage(ctx, &control.ManageRequest{Dest: c.d.dest, Command: "cancel",
		Forward: &control.ForwardRequest{Dest: c.d.dest, Forwards: []control.Forward{f}, PID: c.peer.pid}})
	switch {
	case err != nil:
		return c.fail(r.id, err.Error())
	case m.Code != 0:
		return c.fail(r.id, "port not forwarded")
	}
	c.mu.Lock()
	c.forwards = slices.DeleteFunc(c.forwards, func(h *held) bool { return h.r.Forwards[0] == f })
	c.mu.Unlock()
	return c.send(reply(ok, r.id))
}

// info is the text of -O conninfo and -O channels.
func (c *client) info(ctx context.Context, what string) (string, error) {
	command, ok := map[string]string{"connection": "conninfo", "channels": "channels"}[what]
	if !ok {
		return "", fmt.Errorf("no such information: %s", what)
	}
	m, err := c.d.s.Backend.Manage(ctx, &control.ManageRequest{Dest: c.d.dest, Command: command})
	if err != nil {
		return "", err
	}
	return string(m.Out), nil
}
