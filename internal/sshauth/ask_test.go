package sshauth

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestPassword(t *testing.T) {
	var notices []string
	s := &server{password: "right"}
	p := &person{answers: []string{"wrong", "wrong", "right"}}
	cfg := usual()
	cfg.Ask = p.ask
	cfg.Notice = func(text string) { notices = append(notices, text) }
	used, err := s.login(t, cfg)
	wantUsed(t, used, err, "password")
	q := Question{Kind: Password, Host: "me@h", Text: "me@h's password: "}
	if !reflect.DeepEqual(p.asked, []Question{q, q, q}) {
		t.Errorf("asked %+v", p.asked)
	}
	if again := "Permission denied, please try again."; !slices.Equal(notices, []string{again, again}) {
		t.Errorf("notices %q", notices)
	}
}

func TestKeyboardInteractive(t *testing.T) {
	var notices []string
	s := &server{answers: []string{"a", "b"}, intro: [2]string{"Token\n", "Look at it"}}
	p := &person{answers: []string{"a", "wrong", "a", "b"}}
	cfg := usual()
	cfg.Ask = p.ask
	cfg.Notice = func(text string) { notices = append(notices, text) }
	used, err := s.login(t, cfg)
	wantUsed(t, used, err, "keyboard-interactive")
	first, second := "Token\nLook at it\n(me@h) Question 0: ", "Token\nLook at it\n(me@h) Question 1: "
	if got := p.texts(); !slices.Equal(got, []string{first, second, first, second}) {
		t.Errorf("asked %q", got)
	}
	if p.asked[0].Echo || !p.asked[1].Echo || p.asked[0].Kind != KeyboardInteractive {
		t.Errorf("asked %+v", p.asked[:2])
	}
	if !slices.Equal(notices, []string{"Welcome"}) {
		t.Errorf("notices %q", notices)
	}
}

// Nobody there is another error than being refused, and what a person would
// have been asked for is in it.
func TestNobody(t *testing.T) {
	accepted, other := newKey(t, "accepted"), newKey(t, "other")
	empty := &person{}
	for _, tt := range []struct {
		name   string
		server *server
		edit   func(*Config)
		want   string // "": refused
	}{
		{"no Ask", &server{password: "x"}, nil, "the server takes a password and nobody"},
		{"no Ask, questions", &server{answers: []string{"x"}}, nil, "the server takes answers (keyboard-interactive) and nobody"},
		{"background", &server{password: "x"}, func(c *Config) { c.Ask, c.Background = empty.ask, true }, "takes a password and nobody"},
		{"Ask finds nobody", &server{password: "x"}, func(c *Config) { c.Ask = empty.ask }, "takes a password and nobody"},
		{"Ask finds nobody for answers", &server{answers: []string{"x"}}, func(c *Config) { c.Ask = empty.ask }, "takes answers"},
		{"passphrase", &server{accept: []*key{accepted}}, func(c *Config) { c.IdentityFiles = []string{accepted.file(t, "p")} },
			"accepted needs a passphrase and nobody could be asked"},
		{"passphrase of a refused key", &server{accept: []*key{accepted}}, func(c *Config) { c.IdentityFiles = []string{other.file(t, "p")} }, ""},
	} {
		cfg := usual()
		if tt.edit != nil {
			tt.edit(&cfg)
		}
		_, err := tt.server.login(t, cfg)
		if errors.Is(err, ErrNobody) != (tt.want != "") || errors.Is(err, ErrDenied) != (tt.want == "") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if strings.Count(err.Error(), "nobody") > 1 {
			t.Errorf("%s: says it twice: %v", tt.name, err)
		}
	}
	if n := len(empty.asked); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// An answer that is refused by the person ends the login: no other question.
func TestInterrupted(t *testing.T) {
	interrupted := errors.New("interrupted at the prompt")
	k := newKey(t, "k")
	for _, s := range []*server{{password: "x"}, {answers: []string{"x"}, password: "x"}, {accept: []*key{k}, password: "x"}} {
		asked := 0
		cfg := usual()
		cfg.IdentityFiles = []string{k.file(t, "pass")}
		cfg.Ask = func(context.Context, Question) (string, error) {
			asked++
			return "", interrupted
		}
		_, err := s.login(t, cfg)
		if !errors.Is(err, interrupted) || asked != 1 || !strings.HasPrefix(err.Error(), "me@h: ") {
			t.Errorf("%v after %d questions", err, asked)
		}
	}
}

// The end of the context takes a waiting question back and ends the login.
func TestCancelAtThePrompt(t *testing.T) {
	k := newKey(t, "k")
	for _, s := range []*server{{password: "x"}, {answers: []string{"x"}}, {accept: []*key{k}, password: "x"}} {
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		cfg := usual()
		cfg.IdentityFiles = []string{k.file(t, "pass")}
		cfg.Ask = func(ctx context.Context, q Question) (string, error) {
			asked++
			cancel()
			<-ctx.Done()
			return "", ErrNobody // what an asker makes of it must not matter
		}
		_, err := handshake(t, ctx, s.serve(t), cfg)
		if err != context.Canceled || asked != 1 {
			t.Errorf("%v after %d questions", err, asked)
		}
	}
}

// A connection that dies while the person thinks withdraws the question.
// x/crypto alone would keep it, and ask for two more passwords afterwards.
func TestLostAtThePrompt(t *testing.T) {
	s := &server{password: "right"}
	c := s.serve(t)
	asked := 0
	cfg := usual()
	cfg.Ask = func(ctx context.Context, q Question) (string, error) {
		asked++
		c.Close()
		<-ctx.Done()
		return "", ctx.Err()
	}
	_, err := handshake(t, t.Context(), c, cfg)
	if err == nil || !strings.Contains(err.Error(), "lost during the login") || errors.Is(err, ErrDenied) || asked != 1 {
		t.Errorf("%v after %d questions", err, asked)
	}
}

func TestEndlessQuestions(t *testing.T) {
	s := &server{}
	for range maxRounds + 1 {
		s.answers = append(s.answers, "a")
	}
	cfg := usual()
	cfg.Ask = func(context.Context, Question) (string, error) { return "a", nil }
	if _, err := s.login(t, cfg); err == nil || !strings.Contains(err.Error(), "does not stop asking") {
		t.Errorf("error = %v", err)
	}
}
