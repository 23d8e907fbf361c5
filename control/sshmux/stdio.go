package sshmux

import (
	"context"

	"muxd/control"
)

// stdio carries out a NEW_STDIO_FWD (ssh -W).
func (c *client) stdio(ctx context.Context, m *message) {
	r := &control.DirectRequest{Dest: c.dest(),
		PID: c.peer.pid, Bytes: new(control.Meter)}
	if m.connect.port == pathPort {
		r.Path = m.connect.host
	} else {
		r.Host, r.Port = m.connect.host, int(m.connect.port)
	}
	if r.Path == "" && (r.Host == "" || m.connect.port == 0 || m.connect.port > 65535) {
		m.close()
		c.fail(m.id, "a stdio forward to nowhere")
		return
	}
	s, err := c.takeDescriptors(m, -1)
	if err != nil {
		c.fail(m.id, "the descriptors that came are of no use: "+err.Error())
		return
	}
	defer s.close()
	defer context.AfterFunc(ctx, s.close)()
	v := newVisitor(c, nil)
	st, err := c.d.s.Backend.Direct(ctx, r, v)
	if err != nil {
		c.fail(m.id, v.refusal(err).Error()) // ssh ends with it and does not log in by itself
		return
	}
	defer st.Close()
	defer context.AfterFunc(ctx, func() { st.Close() })()
	if c.send(reply(sessionOpened, m.id, uint32(sessionID))) != nil {
		return
	}
	_, err = s.carry(ctx, st, r.Bytes)
	s.close()
	if err != nil {
		// Without a word ssh would take it for a good end. It does not print ours.
		c.send(reply(failure, "muxd: "+control.CleanLine(err.Error())))
	}
}
