package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/login"
	"muxd/internal/sshlink"
)

// throughHop connects to the destination through its jump host, which is a
// host of muxd's like any other: logged in once, kept alive, shared by all that
// jump through it. The lease keeps it for as long as the connection lives. The
// slot is taken when the jump host is there (see reach.Slots).
func (m *Master) throughHop(ctx context.Context, h *host, d *dest.Destination, p control.Prompter, urgent bool) (net.Conn, func(), error) {
	via := *d.Via
	via.Patience = 0 // one attempt for one of ours: how long to go on is for those to say who wait for d
	for try := 0; ; try++ {
		h.inLine.Store(true) // behind whatever the jump host waits for
		ls, err := m.acquireHop(ctx, &via, p, h.repeats.Load())
		h.inLine.Store(false)
		if err != nil {
			return nil, nil, hopError(d, err)
		}
		leave, err := h.enter(ctx, d, urgent)
		if err != nil {
			ls.release()
			return nil, nil, err
		}
		d.Debugf(p, 1, "connecting to %s through jump host %s", d.Addr(), d.Via.Name)
		nc, err := ls.link.Dial(ctx, &ls.User, d)
		if err == nil {
			return nc, leave, nil
		}
		leave()
		answered := hopAnswer(d, err) // by the jump host, which lives
		if answered == nil || !h.post(func() { h.keepHop(ls) }) {
			ls.release()
		}
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case answered != nil:
			return nil, nil, answered
		case try > 0 || ls.link.Died() == nil && !errors.Is(err, sshlink.ErrDoubted):
			return nil, nil, hopError(d, ls.link.Failure(d.Via.Name, err))
		}
	}
}

// keepHop keeps the hold on a jump host through which the destination was not
// reached, for as long as somebody wants that: with ControlPersist no each
// attempt would otherwise be a login there. Called in run.
func (h *host) keepHop(ls *lease) {
	h.dropHop()
	h.hop = ls
}

func (h *host) dropHop() {
	if ls := h.hop; ls != nil {
		h.hop = nil
		go ls.release() // posts to the jump host, and run waits for nobody
	}
}

// mindHop drops that hold when there is no more need of it.
func (h *host) mindHop() {
	if h.hop == nil {
		return
	}
	_, wanted := h.demand(time.Now())
	if wanted == "" || h.current != nil || h.hop.link.Ending() != nil {
		h.dropHop()
	}
}

// hopAnswer describes a connection that a jump host which is well did not make,
// and is nil for any other failure.
func hopAnswer(d *dest.Destination, err error) error {
	why := "timed out"
	var oe *ssh.OpenChannelError
	var un sshlink.Unanswered
	switch {
	case errors.As(err, &oe):
		why = sshlink.Refusal(oe).Error()
	case !errors.As(err, &un):
		return nil
	}
	return &control.Error{Phase: control.Refused, Host: d.Name, Text: fmt.Sprintf("jump host %s: connect to %s: %s", d.Via.Name, d.Addr(), why)}
}

// hopError says that it was the hop that failed, and keeps the marks of what
// only a person can mend and of a busy server.
func hopError(d *dest.Destination, err error) error {
	if isCanceled(err) {
		return err
	}
	text := err.Error()
	var e *control.Error
	if errors.As(err, &e) {
		text = e.Text
	}
	wrapped := &control.Error{Phase: control.Refused, Host: d.Name, Text: fmt.Sprintf("jump host %s: %s", d.Via.Name, text)}
	var p *login.NeedsPerson
	if errors.As(err, &p) {
		return &login.NeedsPerson{Err: wrapped}
	}
	var name *noName
	if errors.As(err, &name) {
		return &noName{wrapped}
	}
	return login.StillBusy(err, wrapped)
}
