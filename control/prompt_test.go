package control_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// asking returns a backend whose session asks with f and then ends, its
// command's exit code being 0, or 1 if f failed; what f returned goes to got.
func asking(got chan<- error, f func(ctx context.Context, p control.Prompter) error) *controltest.Backend {
	return &controltest.Backend{OnResolve: resolveSession,
		OnSession: func(ctx context.Context, _ *control.SessionRequest, p control.Prompter) (control.Stream, error) {
			got <- f(ctx, p)
			s := controltest.NewStream(false)
			s.End(control.Exit{}, nil)
			return s, nil
		}}
}

func ask(text string) func(context.Context, control.Prompter) error {
	return func(ctx context.Context, p control.Prompter) error {
		a, err := p.Prompt(ctx, control.Prompt{Kind: control.PromptSecret, Host: "u@h", Text: text})
		if err == nil && a.Text != "s3cret" {
			err = errors.New("answer " + a.Text)
		}
		return err
	}
}

func TestPromptAnswers(t *testing.T) {
	tests := []struct {
		name string
		on   func(context.Context, control.Prompt) (control.Answer, error)
		want error
	}{
		{"given", func(_ context.Context, q control.Prompt) (control.Answer, error) {
			if q != (control.Prompt{Kind: control.PromptSecret, Host: "u@h", Text: "Password?[2J "}) {
				t.Errorf("prompt %+v", q)
			}
			return control.Answer{Text: "s3cret"}, nil
		}, nil},
		{"nobody", nil, control.ErrNobody},
		{"interrupted", func(context.Context, control.Prompt) (control.Answer, error) {
			return control.Answer{}, control.ErrInterrupted
		}, control.ErrInterrupted},
		{"broken terminal", func(context.Context, control.Prompt) (control.Answer, error) {
			return control.Answer{}, errSeen
		}, control.ErrNobody},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := make(chan error, 1)
			r := newRig(t, asking(got, ask("Password\x1b[2J ")))
			_, ch := r.run(&controltest.Screen{Person: controltest.Person{OnPrompt: tt.on}})
			if err := controltest.Get(t, got); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			controltest.Get(t, ch)
		})
	}
}

// A prompt that the server takes back leaves the terminal, its late answer is
// ignored, and the next one is answered.
func TestPromptTakenBackAndNext(t *testing.T) {
	got := make(chan error, 1)
	shown := make(chan struct{}, 2)
	ended := make(chan string, 2)
	r := newRig(t, asking(got, func(ctx context.Context, p control.Prompter) error {
		first, cancel := context.WithCancel(ctx)
		go func() { <-shown; cancel() }()
		if err := ask("one")(first, p); !errors.Is(err, context.Canceled) {
			t.Errorf("a prompt taken back: %v", err)
		}
		return ask("two")(ctx, p)
	}))
	h := &controltest.Screen{Person: controltest.Person{OnPrompt: func(ctx context.Context, q control.Prompt) (control.Answer, error) {
		shown <- struct{}{}
		if q.Text == "one" {
			<-ctx.Done()
			ended <- "one"
			return control.Answer{Text: "late"}, nil
		}
		ended <- "two"
		return control.Answer{Text: "s3cret"}, nil
	}}}
	_, ch := r.run(h)
	if err := controltest.Get(t, got); err != nil {
		t.Error(err)
	}
	controltest.Get(t, ch)
	if a, b := controltest.Get(t, ended), controltest.Get(t, ended); a != "one" || b != "two" {
		t.Errorf("prompts ended in the order %s, %s", a, b)
	}
}

// An answer to a prompt that is no more, or never was, is late and not wrong.
func TestLateAnswerIsIgnored(t *testing.T) {
	got := make(chan error, 1)
	r := newRig(t, asking(got, func(ctx context.Context, p control.Prompter) error {
		first, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		ask("one")(first, p)
		return ask("two")(ctx, p)
	}))
	c := r.raw()
	c.until(control.FramePromptOff)
	c.c.Write(control.Frame(control.FrameAnswer, control.AnswerBody(1, "late")))
	c.c.Write(control.Frame(control.FrameAnswer, control.AnswerBody(99, "never")))
	c.until(control.FramePrompt)
	for range 4 { // once too often stops nothing
		c.c.Write(control.Frame(control.FrameAnswer, control.AnswerBody(2, "s3cret")))
	}
	if err := controltest.Get(t, got); err != nil {
		t.Error(err)
	}
	c.until(control.FrameExit)
}

// An answer goes to its own prompt, also when two are open.
func TestAnswersAreMatched(t *testing.T) {
	got := make(chan error, 1)
	r := newRig(t, asking(got, func(ctx context.Context, p control.Prompter) error {
		other := make(chan control.Answer)
		started := make(chan struct{})
		go func() {
			close(started)
			a, _ := p.Prompt(ctx, control.Prompt{Text: "a"})
			other <- a
		}()
		<-started
		b, err := p.Prompt(ctx, control.Prompt{Text: "b"})
		if a := <-other; a.Text != "for a" || b.Text != "for b" {
			t.Errorf("answers %q and %q", a.Text, b.Text)
		}
		return err
	}))
	c := r.raw()
	open := map[string]uint32{}
	for len(open) < 2 {
		b := c.until(control.FramePrompt)
		for _, text := range []string{"a", "b"} {
			if strings.Contains(string(b), text) {
				open[text] = uint32(b[3])
			}
		}
	}
	c.c.Write(control.Frame(control.FrameAnswer, control.AnswerBody(open["b"], "for b")))
	c.c.Write(control.Frame(control.FrameAnswer, control.AnswerBody(open["a"], "for a")))
	if err := controltest.Get(t, got); err != nil {
		t.Error(err)
	}
	c.until(control.FrameExit)
}

// Neither a prompt nor a notice waits for a client that does not read: the one
// ends with its context, the other is dropped when too much is held.
func TestPromptAndNoticeToClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type result struct {
			err  error
			took time.Duration
		}
		got := make(chan result, 1)
		b := asking(make(chan error, 1), func(ctx context.Context, p control.Prompter) error {
			start := time.Now()
			for range 1000 {
				p.Notice(strings.Repeat("n", control.MaxText))
			}
			if d := time.Since(start); d != 0 {
				t.Errorf("notices took %v", d)
			}
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			_, err := p.Prompt(ctx, control.Prompt{Text: "?"})
			got <- result{err, time.Since(start)}
			return err
		})
		srv := &control.Server{Backend: b, Log: new(log)}
		c, s := controltest.Pipe()
		go srv.ServeConn(t.Context(), s)
		c.Write(control.Opening(&control.Invocation{}))
		if r := <-got; r.err != context.DeadlineExceeded || r.took != time.Minute {
			t.Errorf("got %v after %v", r.err, r.took)
		}
		c.Close()
	})
}

// Notices and prompts arrive in the order they were made, before the exit, and
// one that must wait does not lose the operation's last frame.
func TestNoticesInOrder(t *testing.T) {
	got := make(chan error, 1)
	r := newRig(t, asking(got, func(_ context.Context, p control.Prompter) error {
		for _, n := range []string{"1", "2", "3", "4", "5"} {
			p.Notice(n)
		}
		return nil
	}))
	var h controltest.Screen
	_, ch := r.run(&h)
	if o := controltest.Get(t, ch); o.err != nil {
		t.Fatal(o.err)
	}
	if _, _, n := h.Shown(); strings.Join(n, "") != "12345" {
		t.Errorf("notices %q", n)
	}
}

// When the operation ends under a prompt, Wait returns only after the prompt
// has left the terminal, and no goroutine stays in it.
func TestOperationEndsUnderPrompt(t *testing.T) {
	c, s := controltest.SocketPair(t)
	op, err := control.Run(c, &control.Invocation{})
	if err != nil {
		t.Fatal(err)
	}
	s.Write(control.Hello{Version: control.Version}.Bytes())
	s.Write(control.Frame(control.FramePrompt, control.PromptBody(1, control.Prompt{Text: "?"})))
	left := false
	shown := make(chan struct{})
	ended := make(chan struct{})
	ch := wait(op, &controltest.Screen{
		Person: controltest.Person{OnPrompt: func(ctx context.Context, _ control.Prompt) (control.Answer, error) {
			defer close(ended)
			close(shown)
			<-ctx.Done()
			time.Sleep(5 * time.Millisecond)
			left = true
			return control.Answer{}, ctx.Err()
		}},
		OnStdout: func([]byte) error {
			select {
			case <-ended:
				t.Error("taken back by the cancel of another prompt")
			default:
			}
			return nil
		},
	})
	controltest.Get(t, shown)
	// A cancel of another prompt is not of this one.
	s.Write(control.Frame(control.FramePromptOff, control.NumberBody(7)))
	s.Write(control.Frame(control.FrameStdout, []byte("x")))
	s.Write(control.Frame(control.FrameExit, control.ExitBody(control.Exit{Code: 6})))
	if o := controltest.Get(t, ch); o.exit.Code != 6 || !left {
		t.Errorf("got %+v, prompt left the terminal: %v", o, left)
	}
}

func TestPhrased(t *testing.T) {
	for _, tt := range []struct {
		q    control.Prompt
		want string
	}{
		{control.Prompt{Host: "u@h", Text: "Password: ", Remote: true}, "(u@h) Password: "},
		{control.Prompt{Host: "u@h", Text: "(u@h) Password: ", Remote: true}, "(u@h) Password: "},
		{control.Prompt{Host: "u@h", Text: "(u@h) Welcome\nEnter passphrase for key '/k': ", Remote: true}, "(u@h) Welcome\n(u@h) Enter passphrase for key '/k': "},
		{control.Prompt{Host: "u@h", Text: "Enter passphrase for key '/k': "}, "Enter passphrase for key '/k': "},
	} {
		if got := tt.q.Phrased(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
