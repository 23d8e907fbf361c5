package master

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshtest"
)

// doctored is what doctor says of a host, by a command line.
func (r *rig) doctored(args ...string) string {
	r.t.Helper()
	plan, err := r.plan(nil, append([]string{"-O", "check"}, args...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.m.doctor(plan.Dest.(*dest.Destination))
}

// Doctor tells how many sessions the server was seen to take, and how to have that
// forgotten: while a connection is there, and in the next muxd before there is one.
func TestDoctorTellsTheSessionLimit(t *testing.T) {
	const told = "the server takes 2 sessions on a connection (learned from its refusal)"
	const cure = "muxd reconnect --forget host forgets it"
	mem := new(remembering)
	says := func(t *testing.T, r *rig, when string, want bool) {
		t.Helper()
		if text := r.doctored("host"); strings.Contains(text, told) != want || strings.Contains(text, cure) != want {
			t.Errorf("%s: want %v in\n%s", when, want, text)
		}
	}
	forget := func(r *rig) {
		r.m.Admin(context.Background(), &control.AdminRequest{Command: "reconnect", Dest: r.request("host", "true").Dest, Forget: true})
	}
	inBubble(t, sshtest.Options{MaxSessions: 2}, func(t *testing.T, r *rig) {
		r.m.cfg.Learned = mem
		says(t, r, "at first", false)
		for range 2 {
			r.open("host", "sleep", "1h")
		}
		says(t, r, "with as many as fit", false)
		r.open("host", "sleep", "1h")
		says(t, r, "after a refusal", true)
	})
	inBubble(t, sshtest.Options{MaxSessions: 2}, func(t *testing.T, r *rig) {
		r.m.cfg.Learned = mem
		says(t, r, "in the next muxd", true)
		r.run("host", "true")
		says(t, r, "with a connection there", true)
		forget(r)
		says(t, r, "forgotten", false)
		for range 3 {
			r.open("host", "sleep", "1h")
		}
		says(t, r, "learned again", true)
	})
	inBubble(t, sshtest.Options{MaxSessions: 2, DialError: errDown}, func(t *testing.T, r *rig) {
		r.m.cfg.Learned = mem
		forget(r) // of a host that cannot be reached
		says(t, r, "forgotten without a connection", false)
	})
}

// One name, and two hosts by it: none is taken for gone.
func TestDoctorTellsOfNamesakes(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("-p", "23", "-l", "other", "host", "true")
		synctest.Wait()
		text := r.doctored("host")
		for _, want := range []string{"host: no connection, and nobody wants one", "is another host, other@host:23, which is ready", "muxd doctor -F FILE host"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		if text = r.doctored("-p", "23", "-l", "other", "host"); strings.Contains(text, "another host") || !strings.Contains(text, "host: connected") {
			t.Errorf("of itself:\n%s", text)
		}
	})
}
