package sshmux

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
)

// global answers a global request of a client in proxy mode (RFC 4254 section
// 7.1, PROTOCOL 2.4). That it wants no more sessions is about a connection that
// others use too, so it is not passed on, and neither is its keepalive: whether
// the server lives is muxd's to know.
func (r *relay) global(ctx context.Context, q *ssh.Request) {
	switch q.Type {
	case "tcpip-forward", "cancel-tcpip-forward":
		var m struct {
			Host string
			Port uint32
		}
		if ssh.Unmarshal(q.Payload, &m) != nil || m.Port > 65535 {
			answer(q, false, nil)
			return
		}
		at := control.Endpoint{Host: m.Host, Port: int(m.Port)}
		if q.Type != "tcpip-forward" {
			answer(q, r.unlisten(at), nil)
			return
		}
		port, begin, err := r.listen(ctx, at)
		var b []byte
		if at.Port == 0 && err == nil {
			b = binary.BigEndian.AppendUint32(nil, uint32(port))
		}
		answer(q, err == nil, b)
		begin()
	case "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com":
		var m struct{ Path string }
		if ssh.Unmarshal(q.Payload, &m) != nil || m.Path == "" {
			answer(q, false, nil)
			return
		}
		at := control.Endpoint{Path: m.Path}
		if q.Type != "streamlocal-forward@openssh.com" {
			answer(q, r.unlisten(at), nil)
			return
		}
		_, begin, err := r.listen(ctx, at)
		answer(q, err == nil, nil)
		begin()
	default:
		answer(q, false, nil)
	}
}

// listen asks for a remote forward, as the client's own. What comes by it waits
// until begin is called, which is to be done when the client was told: before, it
// would refuse a channel for a forward that it does not know to stand.
func (r *relay) listen(ctx context.Context, at control.Endpoint) (port int, begin func(), err error) {
	none := func() {}
	r.mu.Lock()
	have, full := r.listeners[at] != nil, len(r.listeners) >= maxListeners
	r.mu.Unlock()
	switch {
	case have: // no forward is known by port 0
		return at.Port, none, nil
	case full:
		return 0, none, errors.New("too many remote forwards")
	}
	if err := r.c.d.s.makeDir(); err != nil {
		return 0, none, err
	}
	path := filepath.Join(r.c.d.s.Dir, "f"+rand.Text())
	l, err := net.Listen("unix", path)
	if err != nil {
		return 0, none, err
	}
	w := &listening{l: l, path: path, release: func() {}}
	asked := at
	if at.Path == "" && at.Host == "" {
		asked.Host = "*" // every address, as the Backend writes it
	}
	shown := at
	w.release, err = r.c.d.s.Backend.Forward(ctx, &control.ForwardRequest{Dest: r.c.dest(), PID: r.c.peer.pid, Strict: true,
		Forwards:  []control.Forward{{Kind: control.ForwardRemote, Listen: asked, Connect: control.Endpoint{Path: path}}},
		Allocated: func(_ control.Forward, p int) { shown.Port = p }}, newVisitor(r.c, nil))
	if err == nil && at.Path == "" && shown.Port == 0 {
		w.release()
		err = errors.New("the server did not say which port it chose")
	}
	if err != nil {
		l.Close()
		os.Remove(path)
		return 0, none, err
	}
	r.mu.Lock()
	r.listeners[shown] = w
	r.mu.Unlock()
	return shown.Port, func() { r.channels.Go(func() { r.accept(w, shown) }) }, nil
}

func (r *relay) unlisten(at control.Endpoint) bool {
	r.mu.Lock()
	w := r.listeners[at]
	delete(r.listeners, at)
	r.mu.Unlock()
	if w == nil {
		return false
	}
	w.close()
	return true
}

// accept makes a channel of each connection that the forward brings.
func (r *relay) accept(w *listening, at control.Endpoint) {
	for {
		c, err := w.l.Accept()
		if err != nil {
			return // closed
		}
		if !r.enter() {
			c.Close()
			continue
		}
		r.channels.Go(func() {
			defer r.leave()
			defer c.Close()
			r.incoming(c.(*net.UnixConn), at)
		})
	}
}

// incoming carries one of them.
func (r *relay) incoming(c *net.UnixConn, at control.Endpoint) {
	kind, extra := "forwarded-tcpip", ssh.Marshal(struct {
		Host   string
		Port   uint32
		Origin string
		From   uint32
	}{at.Host, uint32(at.Port), "127.0.0.1", 0})
	if at.Path != "" {
		kind, extra = "forwarded-streamlocal@openssh.com", ssh.Marshal(struct{ Path, Reserved string }{at.Path, ""})
	}
	ch, reqs, err := r.conn.OpenChannel(kind, extra)
	if err != nil {
		return
	}
	defer ch.Close()
	go func() {
		for q := range reqs {
			refuse(q)
		}
		c.SetDeadline(time.Now().Add(settleWait)) // the client closed it
	}()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if _, err := io.Copy(ch, c); err == nil {
			ch.CloseWrite()
		} else {
			ch.Close()
		}
	}()
	if _, err := io.Copy(c, ch); err != nil {
		return
	}
	c.CloseWrite()
	<-sent
}
