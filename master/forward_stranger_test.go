package master

import (
	"strings"
	"testing"
	"time"

	"muxd/control"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
)

// A server that is not known to be the one gets no forwards, those that stood
// before it took the other's place among them.
func TestNoForwardsToAStranger(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		s.echoes("localhost:22")
		unchecked := []string{"-o", "StrictHostKeyChecking=no", "-L", "1:a:1", "-R", "2222:localhost:22"}
		release := r.mustForward(append(unchecked, "-N", "host")...)
		s.serves(r, "localhost:1")
		key := r.srv.HostKey()
		r.know(sshtest.NewKey().PublicKey())
		r.srv.Last().Drop()
		time.Sleep(10 * time.Second)
		r.wantLinks("ready")
		if got := r.srv.Forwards(); len(got) != 0 {
			t.Errorf("a stranger listens at %q", got)
		}
		c, err := s.connect("localhost:1")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := exchange(c, "secret"); err == nil {
			t.Errorf("%q came through a stranger", got)
		}
		for _, st := range r.host().status().Forwards {
			if !strings.Contains(st.LastErr, "host key") {
				t.Errorf("%s %s: %q", st.Forward, st.State, st.LastErr)
			}
		}
		release()

		p := &person{}
		release, err = r.wantsForward(p, append(unchecked, "host", "true")...)
		if err != nil || !strings.Contains(p.Told(), "muxc: host: "+sshlink.ErrDistrusted.Error()) {
			t.Errorf("%v, told %q", err, p.Told())
		}
		release()
		if _, err := r.wantsForward(p, append(unchecked, "-o", "ExitOnForwardFailure=yes", "host", "true")...); err == nil {
			t.Error("forwards to a stranger")
		} else {
			wantError(t, err, control.Refused, "host: the server's host key is not the one that is known")
		}
		r.wantForwards("")

		r.know(key)
		r.hangUp()
		release = r.mustForward(append(unchecked, "host", "true")...)
		s.serves(r, "localhost:1")
		reaches(t, r.srv, "localhost:2222").Close()
		release()
	})
}
