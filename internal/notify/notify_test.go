package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
)

// One command runs at a time, each for its limit at most, and of one host the
// newest that waits.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran []string
		running := 0
		began := time.Now()
		r := &Runner{Log: slog.New(slog.DiscardHandler), Run: func(ctx context.Context, line string, env []string) error {
			if running++; running > 1 {
				t.Error("two at a time")
			}
			ran = append(ran, fmt.Sprintf("%v %s %s", time.Since(began), line, env[4]))
			<-ctx.Done() // it would take for ever
			running--
			return nil
		}}
		for _, to := range []string{"a 1", "a 2", "b 1", "a 3"} {
			key, n, _ := strings.Cut(to, " ")
			r.Post(t.Context(), key, "tell", control.Event{To: n})
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []string{"0s tell MUXD_STATE=1", "10s tell MUXD_STATE=3", "20s tell MUXD_STATE=1"}; !slices.Equal(ran, want) {
			t.Errorf("%q, want %q", ran, want)
		}
		r.Post(t.Context(), "c", "tell", control.Event{})
		synctest.Wait()
		if len(ran) != 4 {
			t.Error("nothing runs after a pause")
		}
		time.Sleep(Limit)
		synctest.Wait()
	})
}

// Of too many the oldest are dropped, and with the end of muxd all of them.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		r := &Runner{Log: slog.New(slog.DiscardHandler), Run: func(ctx context.Context, line string, env []string) error {
			n++
			<-ctx.Done()
			return errors.New("killed")
		}}
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 10 * Most {
			r.Post(ctx, fmt.Sprint(i), "tell", control.Event{})
		}
		synctest.Wait()
		r.mu.Lock()
		if len(r.waiting) > Most {
			t.Errorf("%d wait", len(r.waiting))
		}
		r.mu.Unlock()
		time.Sleep(Limit)
		synctest.Wait()
		cancel()
		synctest.Wait()
		if n != 2 || r.running || r.waiting != nil {
			t.Errorf("%d ran, running %v, %d wait", n, r.running, len(r.waiting))
		}
		new(Runner).Post(t.Context(), "a", "tell", control.Event{}) // nothing to run it with
	})
}

func TestWords(t *testing.T) {
	env := Words(control.Event{Host: "a\nMUXD_STATE=x", User: "$(id)", Text: "bad\x00\x1b[31m" + strings.Repeat("ä", maxWord)})
	for _, kv := range env {
		if strings.ContainsAny(kv, "\x00\n\x1b") || len(kv) > maxWord+20 {
			t.Errorf("%q", kv)
		}
	}
	if env[0] != "MUXD_HOST=a MUXD_STATE=x" || env[1] != "MUXD_USER=$(id)" {
		t.Errorf("%q", env[:2])
	}
}
