package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshlink"
)

// holdSilently is how long a connection may be gone before its holder is told:
// one that is back at once is no news.
const holdSilently = time.Second

// hold keeps the connection for a client that wants nothing of it: it does not
// expire, and when it dies another one is made.
type hold struct {
	m      *Master
	r      *control.HoldRequest
	d      *dest.Destination
	p      control.Prompter
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}
	err    error // written before done is closed
}

// Hold implements control.Backend: ssh -N. The first connection must be had;
// after that the client waits as long as it likes.
func (m *Master) Hold(ctx context.Context, r *control.HoldRequest, p control.Prompter) (control.Stream, error) {
	d := r.Dest.(*dest.Destination)
	if err := m.admit(d); err != nil {
		return nil, err
	}
	ls, err := m.acquireBare(ctx, d, p)
	if err != nil {
		return nil, asControl(d.Name, control.Refused, err)
	}
	leave, err := m.enter(d) // it is seen among the holds before it leaves
	if err == nil {
		defer leave()
		err = localCommand(ctx, d, p)
	}
	if err != nil {
		ls.release()
		return nil, err
	}
	if p == nil {
		p = nobody{}
	}
	h := &hold{m: m, r: r, d: d, p: p, done: make(chan struct{})}
	h.ctx, h.cancel = context.WithCancelCause(context.WithoutCancel(ctx)) // Close ends it, and -O exit
	m.mu.Lock()
	m.holds[h] = struct{}{}
	m.mu.Unlock()
	go h.run(ls)
	return h, nil
}

// run holds one connection after the other.
func (h *hold) run(ls *lease) {
	defer close(h.done)
	defer func() {
		h.m.mu.Lock()
		delete(h.m.holds, h)
		h.m.mu.Unlock()
	}()
	for h.err == nil {
		select {
		case <-ls.link.Done():
		case <-h.ctx.Done():
		}
		ls.release()
		if h.ctx.Err() == nil {
			ls, h.err = h.again(ls.link.Err())
		}
		if h.ctx.Err() != nil {
			if h.err == nil && ls != nil {
				ls.release() // which is safe for one that was
			}
			h.err = h.ctx.Err()
			if cause := context.Cause(h.ctx); cause == sshlink.ErrAsked {
				h.err = asControl(h.d.Name, control.Refused, cause)
			}
		}
	}
}

// endHolds ends the holds of a host at somebody's request, also those that have
// no connection just now and wait for one, or for a person's login. It reports
// whether there was any.
func (m *Master) endHolds(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	any := false
	for h := range m.holds {
		if h.d.Key == key {
			h.cancel(sshlink.ErrAsked)
			any = true
		}
	}
	return any
}

// again gets another connection after one was lost. One that was closed by
// request is not wanted any more, and what only a person can mend is not tried
// by a timer.
func (h *hold) again(lost error) (*lease, error) {
	if errors.Is(lost, sshlink.ErrAsked) || errors.Is(lost, errStopping) {
		return nil, asControl(h.d.Name, control.Refused, lost)
	}
	h.d.Debugf(h.p, 1, "connection lost (%v), making another one", lost)
	if h.d.Conf.Informs() {
		text := fmt.Sprintf("muxc: %s: connection lost (%v), trying again until it is back", h.d.Name, lost)
		defer time.AfterFunc(holdSilently, func() { h.p.Notice(text) }).Stop()
	}
	ls, err := h.m.acquireHeld(h.ctx, h.d, h.p)
	for err != nil && h.r.Serves && h.ctx.Err() == nil && !errors.Is(err, sshlink.ErrAsked) && !errors.Is(err, errStopping) {
		if h.d.Conf.Informs() {
			h.p.Notice(fmt.Sprintf("muxc: %s: %s; waiting for a login by somebody else", h.d.Name, withoutHost(err)))
		}
		h.untilReady()
		if ls, err = h.m.acquireHeld(h.ctx, h.d, h.p); err != nil {
			h.pause() // it is ready for others, and not for this one
		}
	}
	if err != nil && h.ctx.Err() == nil {
		err = asControl(h.d.Name, control.Refused, err)
	}
	return ls, err
}

var errReady = errors.New("the host is ready")

// untilReady returns when somebody else's request made the connection, or the
// hold ends.
func (h *hold) untilReady() {
	h.m.Events(h.ctx, &control.EventsRequest{Dest: h.d}, func(e control.Event) error {
		if e.Kind == control.EventHost && e.To == Ready.String() {
			return errReady
		}
		return nil
	})
}

func (h *hold) pause() {
	select {
	case <-time.After(holdSilently):
	case <-h.ctx.Done():
	}
}

// Read implements control.Stream: there is nothing to read, until the end.
func (h *hold) Read([]byte) (int, error) { <-h.done; return 0, io.EOF }

// Stderr implements control.Stream.
func (h *hold) Stderr() io.Reader { return strings.NewReader("") }

// Write implements control.Stream.
func (h *hold) Write(p []byte) (int, error) { return len(p), nil }

// CloseWrite implements control.Stream.
func (h *hold) CloseWrite() error { return nil }

// CloseRead implements control.Stream.
func (h *hold) CloseRead() error { return nil }

// TTY implements control.Stream.
func (h *hold) TTY() bool { return false }

// Resize implements control.Stream.
func (h *hold) Resize(control.Window) error { return nil }

// Signal implements control.Stream.
func (h *hold) Signal(string) error { return nil }

// Wait implements control.Stream.
func (h *hold) Wait() (control.Exit, error) {
	<-h.done
	return control.Exit{}, h.err
}

// Close implements control.Stream.
func (h *hold) Close() error { h.cancel(nil); return nil }
