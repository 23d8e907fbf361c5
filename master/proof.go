package master

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"muxd/control"
	"muxd/internal/dest"
)

const (
	// proofPatience bounds the wait for a sign of life: the longest short
	// verdict of alive.Prober.
	proofPatience = 5 * time.Second
	// fresh is how old a byte may be to be a sign of life by itself.
	fresh = time.Second
)

// proven waits until the server has sent a byte, in answer to a probe if need
// be, or says why there is no proof.
func (l *link) proven(ctx context.Context) error {
	if l.silence() < fresh {
		return l.Err()
	}
	from := l.wire.LastRead()
	l.suspicious()
	limit := time.NewTimer(proofPatience)
	defer limit.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for seen := false; ; {
		select {
		case <-look.C:
			if seen {
				return nil
			}
			// The byte is stamped before anybody has read it; by the next look its
			// answer has come to whoever measures the round trip.
			seen = l.wire.LastRead().After(from)
		case <-l.done:
			return l.Err()
		case <-limit.C:
			return fmt.Errorf("no byte for %v", l.silence().Round(time.Second))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// proven is link.proven for the connection that serves new work, or the one
// that would.
func (h *host) proven(ctx context.Context) error {
	l := h.best()
	if l == nil {
		return errors.New("no connection")
	}
	return l.proven(ctx)
}

// best is the link in service, else one that does not answer just now.
func (h *host) best() *link {
	var best *link
	h.call(func() {
		if best = h.current; best != nil {
			return
		}
		for l := range h.links {
			if l.State() == linkSuspect {
				best = l
			}
		}
	})
	return best
}

// check is -O check: ssh's line, for scripts that look for it, then what the
// server itself has to say. A master with a dead peer is not well.
func (m *Master) check(ctx context.Context, d *dest.Destination, h *host) (*control.Managed, error) {
	text := fmt.Sprintf("Master running (pid=%d)", os.Getpid())
	l := h.best()
	if l == nil {
		return nil, &control.Error{Phase: control.NotDialled, Host: d.Name, Text: "no connection"}
	}
	if err := l.proven(ctx); err != nil {
		why := strings.TrimPrefix(err.Error(), "no answer: ")
		return &control.Managed{Code: exitFailed, Text: fmt.Sprintf("%s\n%s: the server does not answer: %s", text, d.Name, why)}, nil
	}
	text += fmt.Sprintf("\n%s: last byte %v ago", d.Name, l.silence().Round(time.Millisecond))
	if rtt := time.Duration(l.rtt.Load()); rtt > 0 {
		text += fmt.Sprintf(", round trip %v", rtt.Round(10*time.Microsecond))
	}
	return &control.Managed{Text: text}, nil
}

// exitFailed is ssh's status for everything that is not the command's.
const exitFailed = 255
