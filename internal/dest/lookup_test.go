package dest

import (
	"context"
	"strings"
	"testing"

	"muxd/control"
)

func TestCanonicalName(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		name, found, err := canonical(t.Context(), "ip", "localhost")
		if err != nil || !found {
			t.Errorf("localhost: %q %v %v", name, found, err)
		}
		if _, found, err := canonical(t.Context(), "ip", "no-such-host.invalid."); found {
			t.Errorf("a host that is not there: %v", err)
		}
	})
}

// Match exec is asked of the client whose request it is, and each request anew.
func TestMatchExecAsksTheClient(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "Match exec \"is %n\"\n User matched\n")
		var asked []string
		status := 0
		p := silent()
		p.runs = func(_ context.Context, c control.Command) (control.Ran, error) {
			if c.Kind != control.CommandTest {
				t.Errorf("kind %d", c.Kind)
			}
			asked = append(asked, c.Args...)
			return control.Ran{Status: status}, nil
		}
		for i, want := range []string{"matched", "me"} {
			status = i
			plan, err := r.plan(p, "-o", "ServerAliveInterval=5", "host", "true")
			if err != nil || plan.Session.Dest.(*Destination).User != want {
				t.Errorf("status %d: %v, %v", i, plan, err)
			}
		}
		if strings.Join(asked, ",") != "is host,is host" {
			t.Errorf("asked %q", asked)
		}
		if _, err := r.plan(nil, "host", "true"); err == nil {
			t.Error("a match that nobody answers was taken for an answer")
		}
	})
}
