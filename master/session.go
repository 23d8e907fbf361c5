package master

import (
	"context"
	"errors"

	"muxd/control"
	"muxd/internal/dest"
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
