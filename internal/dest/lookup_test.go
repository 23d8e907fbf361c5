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

// The same words resolved once more, after the client has gone, ask nobody: a
// configuration that only the client could complete is no configuration then.
func TestAgainAsksNobody(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		p := silent()
		runs := 0
		p.runs = func(context.Context, control.Command) (control.Ran, error) { runs++; return control.Ran{}, nil }
		again := func() (*Destination, error) {
			plan, err := r.plan(p, "host", "true")
			if err != nil {
				t.Fatal(err)
			}
			return plan.Dest.(*Destination).Again()
		}
		r.write(".ssh/config", "User someone\n")
		if d, err := again(); err != nil || d.User != "someone" || d.Again == nil {
			t.Errorf("%+v, %v", d, err)
		}
		r.write(".ssh/config", "Match exec \"is %n\"\n User matched\n")
		if d, err := again(); err == nil || runs != 1 {
			t.Errorf("%+v by %d commands", d, runs)
		}
	})
}
