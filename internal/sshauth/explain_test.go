package sshauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	stopping := errors.New("stopping")
	begun := func(f func(*Login)) *Login {
		l := New(context.Background(), usual())
		l.began, l.allowed = true, []string{"publickey"}
		if f != nil {
			f(l)
		}
		return l
	}
	wrap := func(err error) error { return fmt.Errorf("ssh: handshake failed: %w", err) }
	ended, cancel := context.WithCancelCause(context.Background())
	cancel(stopping)
	for _, tt := range []struct {
		name string
		l    *Login
		err  error
		want string
		is   error
	}{
		{"before the login", New(context.Background(), usual()), io.EOF, "EOF", io.EOF},
		{"refused", begun(nil), wrap(begun(nil).denied()), "me@h: Permission denied (publickey)", ErrDenied},
		{"refused, reasons", begun(nil), wrap(begun(func(l *Login) { l.skip("a"); l.skip("b"); l.skip("a") }).denied()),
			"me@h: Permission denied (publickey): a; b", ErrDenied},
		{"nobody", begun(nil), wrap(begun(func(l *Login) { l.nobodyFor("x") }).denied()),
			"me@h: Permission denied (publickey): x and nobody could be asked", ErrNobody},
		{"EOF", begun(nil), wrap(io.EOF), "me@h: the server closed the connection during the login", io.EOF},
		{"lost", begun(func(l *Login) { l.Lost(io.EOF) }), wrap(&lostError{io.EOF}), "me@h: the server closed the connection during the login", io.EOF},
		{"lost otherwise", begun(func(l *Login) { l.Lost(stopping) }), wrap(io.EOF), "me@h: the connection was lost during the login: stopping", stopping},
		{"too many tries, and then lost", begun(func(l *Login) { l.Lost(io.EOF) }), wrap(errors.New(`ssh: disconnect, reason 2: "Too many authentication failures"`)),
			"me@h: Permission denied (publickey): the server counted too many attempts (IdentitiesOnly yes would offer fewer keys)", ErrDenied},
		{"context", func() *Login { l := New(ended, usual()); l.began = true; return l }(), wrap(io.EOF), "stopping", stopping},
		{"disconnect", begun(nil), wrap(errors.New(`ssh: disconnect, reason 11: "bye"`)), `me@h: disconnect, reason 11: "bye"`, nil},
		{"after Close", begun(func(l *Login) { l.Close() }), wrap(errors.New("ssh: x")), "me@h: x", nil},
	} {
		err := Explain(tt.err, tt.l)
		if err == nil || err.Error() != tt.want || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		if errors.Is(err, ErrDenied) && errors.Is(err, ErrNobody) {
			t.Errorf("%s: both denied and nobody", tt.name)
		}
	}
	if err := Explain(nil, begun(nil)); err != nil {
		t.Error(err)
	}
}

// Whatever passes through a login, no secret is in its log or its error.
func TestSecretsAreNotTold(t *testing.T) {
	var logged strings.Builder
	k := newKey(t, "k")
	s := &server{accept: []*key{k}, password: "right", then: []string{"password"}}
	cfg := usual()
	cfg.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug - 8}))
	cfg.Ask = (&person{answers: []string{"SECRET1", "SECRET2", "SECRET3", "SECRET4"}}).ask
	cfg.IdentityFiles = []string{k.file(t, "SECRET2")}
	_, err := s.login(t, cfg)
	if err == nil || !strings.Contains(logged.String(), "bad passphrase") {
		t.Fatalf("%v, logged %s", err, logged.String())
	}
	if text := logged.String() + err.Error(); strings.Contains(text, "SECRET") {
		t.Errorf("told: %s", text)
	}
}
