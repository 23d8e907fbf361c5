package main

import (
	"strings"
	"testing"
	"time"

	"muxd/control"
	"muxd/internal/term"
)

// On the width that every terminal has, the line says why it does not work.
func TestWaitLineFits(t *testing.T) {
	hints := []string{"  Enter retries now, ^C cancels", "  Enter retries now", ""}
	state := control.Waiting{Attempt: 28, Next: 2 * time.Second}
	silent := control.Waiting{Attempt: 3, Next: 2 * time.Second, Silence: 8 * time.Second}
	for _, c := range []struct {
		state       control.Waiting
		host, cause string
		columns     int
		want        string
	}{
		{state, "alpha", "127.0.0.11: connection refused", 80, "connecting, next try in 2 s (127.0.0.11: connection refused)"},
		{state, "alpha", "127.0.0.11: connection refused", 100, "connecting, next try in 2 s (127.0.0.11: connection refused)  Enter retries now"},
		{state, "alpha", "127.0.0.11: connection refused", 120, "connecting, attempt 28, next try in 2 s (127.0.0.11: connection refused)  Enter retries now, ^C cancels"},
		{state, "alpha", "down", 80, "connecting, attempt 28, next try in 2 s (down)  Enter retries now"},
		{state, "alpha", "", 80, "connecting, attempt 28, next try in 2 s  Enter retries now"},
		{state, "long.example", "could not resolve hostname long.example: server misbehaving", 80,
			"connecting, next try in 2 s (could not resolve hostname l…)"},
		{silent, "alpha", "down", 100, "no byte for 8 s, reconnecting, attempt 3, next try in 2 s (down)  Enter retries now"},
		{silent, "alpha", "connection refused", 80, "no byte for 8 s, reconnecting, next try in 2 s (connection refused)"},
		{silent, "alpha", "127.0.0.11: connection refused", 80, "reconnecting, next try in 2 s (127.0.0.11: connection refused)"},
		{state, "alpha", "127.0.0.11: connection refused", 30, "connecting, next try in 2 s (127.0.0.11: connection refused)"},
	} {
		s := "muxc: " + c.host + ": "
		got := fitting(forms(s, c.state, 0), c.cause, hints, c.columns)
		if got != s+c.want {
			t.Errorf("%s in %d columns:\n%q\n%q", c.cause, c.columns, got, s+c.want)
		}
		if c.columns >= 80 && term.Columns(got) > c.columns || !strings.HasPrefix(got, s) {
			t.Errorf("%q has %d columns, not %d", got, term.Columns(got), c.columns)
		}
	}
}
