// Package notify runs the commands by which a person is told of a host that needs
// them (NotifyCommand).
//
// It refuses to hurry and to insist: one command runs at a time, for so long and no
// longer, and of what a host has to say while another one's runs the newest counts.
// Nothing that a server said is ever part of a command line; the words of an event
// are in its environment.
package notify

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"muxd/control"
)

const (
	// Limit is how long a command may take: a desktop takes a notice in a moment.
	Limit = 10 * time.Second
	// Most is how many hosts may wait to be told of. Twenty go down together when
	// the network does; of more than these the oldest is not told.
	Most = 32
	// maxWord bounds a variable, in bytes.
	maxWord = 512
)

// Runner runs commands. The fields are set before its first use.
type Runner struct {
	// Run runs a line for the shell with these variables besides its own, until it
	// ends or ctx does. Nil: nothing is ever run.
	Run func(ctx context.Context, line string, env []string) error
	Log *slog.Logger

	mu      sync.Mutex
	waiting []note // guarded by mu; the oldest first
	running bool   // guarded by mu; work is at it
}

type note struct {
	key, line string
	env       []string
}

// Post has a command run about the host of that key, at some time until ctx ends.
// It never waits.
func (r *Runner) Post(ctx context.Context, key, line string, e control.Event) {
	if r.Run == nil {
		return
	}
	n := note{key, line, Words(e)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.IndexFunc(r.waiting, func(o note) bool { return o.key == key }); i >= 0 {
		r.waiting[i] = n
		return
	}
	if len(r.waiting) >= Most {
		r.Log.Warn("too many notices at a time, one is dropped")
		r.waiting = r.waiting[1:]
	}
	r.waiting = append(r.waiting, n)
	if !r.running {
		r.running = true
		go r.work(ctx)
	}
}

// work runs what waits, until nothing does.
func (r *Runner) work(ctx context.Context) {
	for {
		r.mu.Lock()
		if len(r.waiting) == 0 || ctx.Err() != nil {
			r.waiting, r.running = nil, false
			r.mu.Unlock()
			return
		}
		n := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.mu.Unlock()
		limited, cancel := context.WithTimeout(ctx, Limit)
		err := r.Run(limited, n.line, n.env)
		if err == nil && limited.Err() != nil {
			err = limited.Err()
		}
		cancel()
		if err != nil {
			r.Log.Warn("NotifyCommand", "err", err)
		}
	}
}

// Words are the variables that tell of an event.
func Words(e control.Event) []string {
	var env []string
	for _, kv := range [][2]string{{"HOST", e.Host}, {"USER", e.User}, {"ADDR", e.Addr}, {"FROM", e.From}, {"STATE", e.To}, {"TEXT", e.Text}} {
		word := control.CleanLine(kv[1])
		if len(word) > maxWord {
			word = control.CleanLine(word[:maxWord]) // a character may have been cut
		}
		env = append(env, "MUXD_"+kv[0]+"="+word)
	}
	return env
}
