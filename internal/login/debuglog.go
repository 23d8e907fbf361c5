package login

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"muxd/control"
	"muxd/internal/dest"
)

// debugLog is a logger whose lines go to muxd's log and, as debug lines, to the
// requests behind p: what a login tries is told where it is known.
func debugLog(log *slog.Logger, p control.Prompter, d *dest.Destination) *slog.Logger {
	return slog.New(&debugHandler{log.Handler(), p, d})
}

type debugHandler struct {
	slog.Handler
	p control.Prompter
	d *dest.Destination
}

// Enabled implements slog.Handler.
func (h *debugHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h *debugHandler) Handle(ctx context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "host" { // the request's own
			fmt.Fprintf(&b, ", %s %v", a.Key, a.Value)
		}
		return true
	})
	h.d.Debugf(h.p, 1, "%s", b.String())
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
