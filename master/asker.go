package master

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"muxd/control"
)

// asker is the control.Prompter of a dial that several requests wait for: it
// asks the first of them that can be asked, and the next one when that one
// goes away. So ten waiting clients see one prompt.
type asker struct{ h *host }

// errUnanswered ends a prompt that nobody answered in time.
var errUnanswered = fmt.Errorf("nobody answered within %v", control.PromptTimeout)

// Prompt implements control.Prompter.
func (a *asker) Prompt(ctx context.Context, q control.Prompt) (control.Answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, control.PromptTimeout, errUnanswered)
	defer cancel()
	tried := map[*waiter]bool{}
	interrupted := false
	for {
		w, err := a.next(ctx, tried, (*waiter).askable)
		if err != nil {
			return control.Answer{}, err
		}
		if w == nil {
			if ctx.Err() != nil { // the last one left, and the dial with it
				return control.Answer{}, context.Cause(ctx)
			}
			if interrupted {
				return control.Answer{}, control.ErrInterrupted
			}
			return control.Answer{}, control.ErrNobody
		}
		tried[w] = true
		ans, err := w.prompt(ctx, q)
		if err == nil {
			return ans, nil
		}
		if ctx.Err() != nil {
			return control.Answer{}, context.Cause(ctx)
		}
		if errors.Is(err, control.ErrInterrupted) {
			// ^C ends that request alone. The last one's leaving gives the
			// dial up, and ctx with it, in its own time.
			interrupted = true
			a.h.post(func() { a.h.leave(w, err) })
		}
		// Else nobody is there, or went away: the next one is asked.
	}
}

// Run implements control.Prompter: a command is run by the first client that
// can run it. One that was interrupted meanwhile has left by itself.
func (a *asker) Run(ctx context.Context, c control.Command) (control.Ran, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, control.PromptTimeout, errUnanswered)
	defer cancel()
	tried := map[*waiter]bool{}
	for {
		w, err := a.next(ctx, tried, func(w *waiter) bool { return w.p != nil })
		if err != nil {
			return control.Ran{}, err
		}
		if w == nil {
			return control.Ran{}, control.ErrNobody
		}
		tried[w] = true
		r, err := w.run(ctx, c)
		if ctx.Err() != nil {
			return control.Ran{}, context.Cause(ctx)
		}
		if err == nil || w.ctx.Err() == nil {
			return r, err
		}
		// That client went away, and its child with it: the next one runs it.
	}
}

// run has one waiter's client run a command, for as long as it is there.
func (w *waiter) run(ctx context.Context, c control.Command) (control.Ran, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(w.ctx, cancel)
	defer stop()
	return w.p.Run(ctx, c)
}

// askable reports a waiter behind which a person can be asked.
func (w *waiter) askable() bool { return w.p != nil && !w.dest.batch }

// prompt asks one waiter, for as long as its client is there.
func (w *waiter) prompt(ctx context.Context, q control.Prompt) (control.Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(w.ctx, cancel)
	defer stop()
	return w.p.Prompt(ctx, q)
}

// Notice implements control.Prompter: a notice about the connection goes to
// everybody who waits for it.
func (a *asker) Notice(text string) {
	for _, w := range a.waiting() {
		if w.p != nil && !quiet(w.dest.conf) {
			w.p.Notice(text)
		}
	}
}

// waiting are those who wait for the dial now.
func (a *asker) waiting() []*waiter {
	done := make(chan []*waiter, 1)
	if !a.h.post(func() { done <- slices.Clone(a.h.waiters) }) {
		return nil
	}
	select {
	case ws := <-done:
		return ws
	case <-a.h.ctx.Done():
		return nil
	}
}

// next returns a waiter that was not tried and is fit, or nil.
func (a *asker) next(ctx context.Context, tried map[*waiter]bool, fit func(*waiter) bool) (*waiter, error) {
	found := make(chan *waiter, 1)
	ok := a.h.post(func() {
		// Whoever went away may not have said so yet. If that was the last one
		// the dial is given up; "nobody could be asked" would block the host.
		for _, w := range slices.Clone(a.h.waiters) {
			if err := w.ctx.Err(); err != nil {
				a.h.leave(w, err)
			}
		}
		for _, w := range a.h.waiters {
			if fit(w) && !tried[w] && w.ctx.Err() == nil {
				found <- w
				return
			}
		}
		found <- nil
	})
	if !ok {
		return nil, errStopping
	}
	select {
	case w := <-found:
		return w, nil
	case <-a.h.ctx.Done():
		return nil, errStopping
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// nobody is the Prompter of a request that came without one.
type nobody struct{}

// Prompt implements control.Prompter.
func (nobody) Prompt(context.Context, control.Prompt) (control.Answer, error) {
	return control.Answer{}, control.ErrNobody
}

// Run implements control.Prompter.
func (nobody) Run(context.Context, control.Command) (control.Ran, error) {
	return control.Ran{}, control.ErrNobody
}

// Notice implements control.Prompter.
func (nobody) Notice(string) {}
