package sshmux

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"muxd/control"
	"muxd/internal/child"
)

// waitSilently is how long a client waits for its connection before it is told.
const waitSilently = time.Second

// visitor stands for the person behind a client of ours (control.Prompter). The
// protocol has no way to ask one: what has to be asked is refused, with a text
// that says how to log in.
type visitor struct {
	c   *client
	err *stderr // the client's standard error; nil where it passed none

	mu      sync.Mutex // guards following
	over    bool
	timer   *time.Timer
	cause   string
	asked   bool          // a person is needed
	notices []string      // not written yet
	writing chan struct{} // closed when they are; nil while there are none
}

// heldNotices is how many lines wait for a client that takes none; more are
// dropped.
const heldNotices = 64

func newVisitor(c *client, err *stderr) *visitor { return &visitor{c: c, err: err} }

// Prompt implements control.Prompter.
func (v *visitor) Prompt(context.Context, control.Prompt) (control.Answer, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked = true
	return control.Answer{}, control.ErrNobody
}

// refusal is err, with what to type where a person could have helped.
func (v *visitor) refusal(err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.asked {
		return err
	}
	return fmt.Errorf("%w: muxc %s asks you", err, v.c.d.dest)
}

// Run implements control.Prompter. Ssh runs nothing for us, so what tells
// something (xauth, a KnownHostsCommand) is our own child with the client's
// environment. What does something at the client's terminal stays undone.
func (v *visitor) Run(ctx context.Context, c control.Command) (control.Ran, error) {
	env := v.c.peer.environment(v.c.d.wants().Env)
	if c.Kind != control.CommandOutput || len(env) == 0 {
		return control.Ran{}, control.ErrNobody
	}
	return child.RunAs(ctx, c, env)
}

// Notice implements control.Prompter. It never waits for the client: who tells
// something about a connection tells it to all who wait for that.
func (v *visitor) Notice(text string) {
	if v.err == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.notices) == heldNotices {
		return
	}
	v.notices = append(v.notices, strings.ReplaceAll(control.Clean(text), "\n", "\r\n")+"\r\n")
	if v.writing == nil {
		v.writing = make(chan struct{})
		go v.write()
	}
}

// write writes the notices that there are.
func (v *visitor) write() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for len(v.notices) > 0 {
		text := v.notices[0]
		v.notices = v.notices[1:]
		v.mu.Unlock()
		io.WriteString(v.err, text)
		v.mu.Lock()
	}
	close(v.writing)
	v.writing = nil
}

// flush waits until the client took its notices, or its descriptors are closed.
func (v *visitor) flush() {
	v.mu.Lock()
	done := v.writing
	v.mu.Unlock()
	if done != nil {
		<-done
	}
}

// Waiting implements control.Prompter: on a terminal, who waits for longer than
// a moment is told so, once.
func (v *visitor) Waiting(w control.Waiting) {
	if v.err == nil || !v.err.Terminal() {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cause = w.Cause
	if v.timer == nil && !v.over {
		v.timer = time.AfterFunc(waitSilently, v.tell)
	}
}

func (v *visitor) tell() {
	v.mu.Lock()
	over, cause := v.over, v.cause
	v.mu.Unlock()
	if over {
		return
	}
	if cause == "" {
		cause = "no answer yet"
	}
	v.Notice(fmt.Sprintf("muxd: %s: waiting for the connection (%s)", v.c.d.dest, cause))
}

// Impatient implements control.Prompter: ssh says nothing of the kind.
func (v *visitor) Impatient() <-chan struct{} { return nil }

// end is to be called when the wait is over; it may be called again.
func (v *visitor) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over = true; v.timer != nil {
		v.timer.Stop()
	}
}
