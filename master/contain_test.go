package master

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"muxd/control"
	"muxd/internal/sshtest"
)

// fragile panics when a line of known_hosts is to be told.
type fragile struct{ slog.Handler }

func (f *fragile) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "known_hosts" {
		panic("keys")
	}
	return f.Handler.Handle(ctx, r)
}

// What panics on the way to a login ends that request, or that login, with words
// for the client and the place in the log, and nobody else's.
func TestPanicIsItsClients(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		var log bytes.Buffer
		r.m.cfg.Log = slog.New(&fragile{slog.NewTextHandler(&log, nil)})
		r.m.cfg.Lookup = func(context.Context, string, string) (string, bool, error) { panic("configuration") }
		s := r.open("host", "sleep", "1h")
		_, err := r.plan(nil, "-o", "CanonicalizeHostname=yes", "-o", "CanonicalDomains=example.org", "bad", "true")
		if err == nil || !strings.Contains(err.Error(), "a bug in muxd") {
			t.Errorf("%v", err)
		}
		r.write(".ssh/known_hosts", "other ssh-ed25519 AAAA\n")
		_, err = r.ask(t.Context(), nil, "other", "true")
		wantError(t, err, control.Refused, "other", "a bug in muxd")
		synctest.Wait()
		if said := log.String(); !strings.Contains(said, "panic=configuration") || !strings.Contains(said, "panic=keys") || !strings.Contains(said, "contain_test.go") {
			t.Errorf("the log: %s", said)
		}
		r.run("host", "true") // by the connection that it had
		r.know(r.srv.HostKey())
		r.run("-o", "StrictHostKeyChecking=accept-new", "other", "true")
		finish(s)
	})
}
