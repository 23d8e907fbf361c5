package dest

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"weak"

	"muxd/control"
	"muxd/control/controltest"
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
		p.OnRun = func(_ context.Context, c control.Command) (control.Ran, error) {
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
		p.OnRun = func(context.Context, control.Command) (control.Ran, error) { runs++; return control.Ran{}, nil }
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

// A destination is kept with its host, for days it may be. The client whose
// words it was resolved by, and what that client ran, are not.
func TestADestinationKeepsNoClient(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "Match exec \"is %n\"\n User matched\n")
		d, client := func() (*Destination, weak.Pointer[controltest.Person]) {
			p := silent()
			p.OnRun = func(context.Context, control.Command) (control.Ran, error) {
				p.Notice("ran")
				return control.Ran{}, nil
			}
			plan, err := r.plan(p, "-o", "ServerAliveInterval=5", "-J", "hop", "host", "true")
			if err != nil {
				t.Fatal(err)
			}
			return plan.Session.Dest.(*Destination), weak.Make(p)
		}()
		runtime.GC()
		if client.Value() != nil {
			t.Error("the client is kept")
		}
		runtime.KeepAlive(d)
	})
}

// The look-ups of the same words, resolved once more, do not end with the client.
func TestAgainLooksUp(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.Lookup = func(ctx context.Context, _, name string) (string, bool, error) {
			return name, name == "host.example.org.", ctx.Err()
		}
		r.write(".ssh/config", "CanonicalizeHostname yes\nCanonicalDomains example.org\n")
		ctx, leave := context.WithCancel(t.Context())
		plan, err := r.Resolve(ctx, &control.Invocation{Args: []string{"host", "true"}, Dir: r.home}, silent())
		if err != nil {
			t.Fatal(err)
		}
		leave()
		if d, err := plan.Dest.(*Destination).Again(); err != nil || d.Host != "host.example.org" {
			t.Errorf("%+v, %v", d, err)
		}
	})
}
