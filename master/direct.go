package master

import (
	"context"
	"errors"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshlink"
)

// Direct implements control.Backend: ssh -W.
func (m *Master) Direct(ctx context.Context, r *control.DirectRequest, p control.Prompter) (control.Stream, error) {
	d := r.Dest.(*dest.Destination)
	if err := sshlink.CheckAddresses(d, control.Endpoint{Host: r.Host, Path: r.Path}); err != nil {
		return nil, err
	}
	if err := m.begins(ctx, d, p, "Connect to "+sshlink.Target(r)); err != nil {
		m.audit(d, string(sshlink.Direct), sshlink.Target(r), r.PID, "", err)
		return nil, err
	}
	var own local
	for try := 0; ; try++ {
		s, err := m.openDirect(ctx, d, r, p, &own)
		if err == nil {
			m.audit(d, string(sshlink.Direct), sshlink.Target(r), r.PID, "", nil)
			return s, nil
		}
		var e *control.Error
		if again := errors.As(err, &e) && e.Phase == control.Lost; !again || try > 0 || ctx.Err() != nil {
			return nil, own.here(err)
		}
	}
}

func (m *Master) openDirect(ctx context.Context, d *dest.Destination, r *control.DirectRequest, p control.Prompter, own *local) (control.Stream, error) {
	ls, err := m.acquireBare(ctx, d, p)
	if err != nil {
		return nil, asControl(d.Name, control.Refused, err)
	}
	if err := own.command(ctx, d, p); err != nil {
		ls.release()
		return nil, err
	}
	leave, err := m.enter(d)
	if err != nil {
		ls.release()
		return nil, err
	}
	ls.Closed = leave
	s, err := ls.link.OpenDirect(ctx, &ls.User, r)
	if err != nil {
		leave()
		ls.release()
		return nil, err
	}
	d.Debugf(p, 1, "the server connected to %s", sshlink.Target(r))
	return s, nil
}
