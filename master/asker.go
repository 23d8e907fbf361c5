package master

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"muxd/control"
	"muxd/internal/login"
)

// asker is the control.Prompter of a dial that several requests wait for: it
// asks the first of them that can be asked, and the next one when that one
// goes away. So ten waiting clients see one prompt.
type asker struct {
	h *host
	// silent is the one who did not answer in time; written before the dial ends,
	// and read after.
	silent *waiter
	asking atomic.Int32 // questions that a person is at
	asked  atomic.Bool  // a person was asked something
}

// busy reports that a person is at a question.
func (a *asker) busy() bool { return a.asking.Load() > 0 }

// longSilence is how long somebody must have been at a question, when its login
// ends under it, to be the reason: sshd's LoginGraceTime is as long as our own
// patience, and may end first.
const longSilence = control.PromptTimeout / 2

// Prompt implements control.Prompter.
func (a *asker) Prompt(ctx context.Context, q control.Prompt) (control.Answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, control.PromptTimeout, login.ErrUnanswered)
	defer cancel()
	a.asking.Add(1)
	a.asked.Store(true)
	defer func() { a.asking.Add(-1); a.h.post(func() {}) }() // what waited for the answer is decided now
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
		asked := time.Now()
		ans, err := w.prompt(ctx, q)
		if err == nil {
			return ans, nil
		}
		if ctx.Err() != nil {
			if time.Since(asked) >= longSilence {
				a.silent = w
			}
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

// commandPatience is how long a client may take for a command while others
// could run it: one that was stopped (^Z) never comes to an end, and a
// KnownHostsCommand takes milliseconds, or the seconds of a directory service.
const commandPatience = 15 * time.Second

// Run implements control.Prompter: a command is run by the first client that
// can run it, and by the next one when that goes away or takes long. One that
// was interrupted meanwhile has left by itself.
func (a *asker) Run(ctx context.Context, c control.Command) (control.Ran, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, control.PromptTimeout, login.ErrUnanswered)
	defer cancel()
	tried := map[*waiter]bool{}
	w, err := a.runner(ctx, tried)
	for err == nil && w != nil {
		tried[w] = true
		var r control.Ran
		if r, err = a.runBy(ctx, w, tried, c); ctx.Err() != nil {
			return control.Ran{}, context.Cause(ctx)
		}
		if !errors.Is(err, errPassedOn) && (err == nil || w.ctx.Err() == nil) {
			return r, err
		}
		w, err = a.runner(ctx, tried)
	}
	if err != nil {
		return control.Ran{}, err
	}
	return control.Ran{}, control.ErrNobody
}

// runner is the next client that can run a command, nil if there is none.
func (a *asker) runner(ctx context.Context, tried map[*waiter]bool) (*waiter, error) {
	return a.next(ctx, tried, func(w *waiter) bool { return w.p != nil })
}

// errPassedOn is a command that was taken back from a client for another one.
var errPassedOn = errors.New("another client runs it")

// runBy has one waiter's client run a command, for as long as it is there, or
// until it took its time and another one could run it.
func (a *asker) runBy(ctx context.Context, w *waiter, tried map[*waiter]bool, c control.Command) (control.Ran, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(w.ctx, cancel)
	defer stop()
	type ended struct {
		r   control.Ran
		err error
	}
	done := make(chan ended, 1)
	go func() {
		r, err := w.p.Run(ctx, c)
		done <- ended{r, err}
	}()
	late := time.NewTicker(commandPatience)
	defer late.Stop()
	for {
		select {
		case e := <-done:
			return e.r, e.err
		case <-late.C:
			if other, err := a.runner(ctx, tried); err != nil || other == nil {
				continue
			}
			cancel()
			if e := <-done; e.err == nil { // at the last moment
				return e.r, nil
			}
			return control.Ran{}, errPassedOn
		}
	}
}

// askable reports a waiter behind which a person can be asked.
func (w *waiter) askable() bool { return w.p != nil && !w.dest.Batch }

// prompt asks one waiter, for as long as its client is there.
func (w *waiter) prompt(ctx context.Context, q control.Prompt) (control.Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(w.ctx, cancel)
	defer stop()
	return w.p.Prompt(ctx, q)
}

// Notice implements control.Prompter: a notice about the connection goes to
// everybody who waits for it, and to nobody again with each attempt.
func (a *asker) Notice(text string) {
	for _, w := range a.waiting(func(w *waiter) bool { return w.p != nil && !w.dest.Conf.Quiet() && w.news(a, text) }) {
		w.p.Notice(text)
	}
}

// heardMost is how many texts are remembered of a wait: a child that names the
// time in each of them has something new to say each time.
const heardMost = 64

// news reports a text that the waiter was not told during an earlier attempt
// than a, and remembers it. Called in run.
func (w *waiter) news(a *asker, text string) bool {
	by, heard := w.heard[text]
	switch {
	case heard:
		return by == a
	case w.heard == nil || len(w.heard) >= heardMost:
		w.heard = map[string]*asker{}
	}
	w.heard[text] = a
	return true
}

// waiting are those who wait for the dial now and for whom fit, called in run,
// is true.
func (a *asker) waiting(fit func(*waiter) bool) []*waiter {
	done := make(chan []*waiter, 1)
	look := func() {
		var ws []*waiter
		for _, w := range a.h.waiters {
			if fit(w) {
				ws = append(ws, w)
			}
		}
		done <- ws
	}
	if !a.h.post(look) {
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

// Waiting implements control.Prompter.
func (nobody) Waiting(control.Waiting) {}

// Impatient implements control.Prompter.
func (nobody) Impatient() <-chan struct{} { return nil }

// background is the Prompter of a dial that no client waits for.
type background struct{ nobody }

// Waiting implements control.Prompter: whoever waits for this dial waits for
// what it waits for. It is called by the other host's run, which must not wait
// for ours.
func (a *asker) Waiting(w control.Waiting) {
	a.h.viaWaiting.Store(&w)
	go a.h.post(func() {})
}

// Impatient implements control.Prompter.
func (*asker) Impatient() <-chan struct{} { return nil }
