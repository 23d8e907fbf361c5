package controltest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"muxd/control"
)

// Patience is how long a test waits for what must happen. It decides nothing
// while things work.
const Patience = time.Minute

// Get takes from ch what must come.
func Get[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(Patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// WantError checks an error's phase and that its text holds the parts, on one line.
func WantError(t testing.TB, err error, phase control.ErrorPhase, parts ...string) {
	t.Helper()
	var e *control.Error
	if !errors.As(err, &e) {
		t.Errorf("%v (%T) is no control.Error", err, err)
		return
	}
	if e.Phase != phase {
		t.Errorf("phase %v, want %v: %v", e.Phase, phase, err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q lacks %q", err, p)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than a line", err)
	}
}
