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
	"muxd/internal/sshlink"
)

// proven is Link.Proven for the connection that serves new work, or the one
// that would.
func (h *host) proven(ctx context.Context) error {
	l := h.best()
	if l == nil {
		return errors.New("no connection")
	}
	return l.Proven(ctx)
}

// best is the link in service, else one that does not answer just now.
func (h *host) best() *link {
	var best *link
	h.call(func() {
		if best = h.current; best != nil {
			return
		}
		for l := range h.links {
			if l.State() == sshlink.Suspect {
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
	if err := l.Proven(ctx); err != nil {
		why := strings.TrimPrefix(err.Error(), "no answer: ")
		return &control.Managed{Code: exitFailed, Text: fmt.Sprintf("%s\n%s: the server does not answer: %s", text, d.Name, why)}, nil
	}
	text += fmt.Sprintf("\n%s: last byte %v ago", d.Name, l.Silence().Round(time.Millisecond))
	if rtt := l.RTT(); rtt > 0 {
		text += fmt.Sprintf(", round trip %v", rtt.Round(10*time.Microsecond))
	}
	return &control.Managed{Text: text}, nil
}

// exitFailed is ssh's status for everything that is not the command's.
const exitFailed = 255
