package master

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/reach"
	"muxd/internal/sshlink"
)

// Session implements control.Backend: it opens a session on the destination's
// connection, dialling it if there is none. What provably did not start is
// tried once more on a new connection; what may have started never is.
func (m *Master) Session(ctx context.Context, r *control.SessionRequest, p control.Prompter) (control.Stream, error) {
	d := r.Dest.(*dest.Destination)
	if err := sshlink.CheckRequest(d, r); err != nil {
		return nil, err
	}
	r = m.lendable(ctx, d, r, p)
	if err := m.begins(ctx, d, p, wish(r)); err != nil {
		m.audit(d, string(r.Kind), r.Command, r.PID, "", err)
		return nil, err
	}
	x := sshlink.LendDisplay(ctx, d, r, p)
	var own local
	for try := 0; ; try++ {
		s, err := m.openSession(ctx, d, r, x, p, &own)
		if err == nil {
			m.audit(d, string(r.Kind), r.Command, r.PID, "", nil)
			return s, nil
		}
		var e *control.Error
		if again := errors.As(err, &e) && e.Phase == control.Lost; !again || try > 0 || ctx.Err() != nil {
			return nil, own.here(err)
		}
	}
}

// agentGlance bounds the look whether an agent is there at all. A Unix socket says
// so at once.
const agentGlance = time.Second / 4

// lendable is the request without an agent that is gone, as ssh leaves it out
// (ssh.c, check_agent_present). A window that outlived its agent would keep others
// from the connection, or be kept from it, for nothing.
func (m *Master) lendable(ctx context.Context, d *dest.Destination, r *control.SessionRequest, p control.Prompter) *control.SessionRequest {
	if r.Agent == "" {
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, agentGlance)
	defer cancel()
	agent, err := m.dialAgent(ctx, r.Agent)
	if err == nil {
		agent.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
		return r
	}
	d.Debugf(p, 1, "no agent to forward: %s: %v", r.Agent, reach.Cause(err))
	own := *r
	own.Agent = ""
	return &own
}
