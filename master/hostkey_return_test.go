package master

import (
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

// again ends the connection, so that the next request makes another one.
func (r *rig) again() {
	r.srv.Last().Drop()
	synctest.Wait()
}

// A server that comes back is the one that went: the key of the last login, or
// one that known_hosts names.
func TestTheKeyOfTheLastLogin(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.know()
		lax := []string{"-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile=/dev/null", "host", "true"}
		old := r.srv.HostKey()
		r.open(lax...)
		r.again()
		r.open(lax...) // the same again
		r.again()
		now := r.srv.RotateHostKey()
		_, err := r.ask(t.Context(), says("yes"), lax...)
		wantError(t, err, control.Refused, "the host key has changed: the last login met ED25519 "+ssh.FingerprintSHA256(old),
			"the server presents ED25519 "+ssh.FingerprintSHA256(now), "if that is expected: muxc -o StrictHostKeyChecking=ask host")
		r.wantState("blocked")

		// The cure: a person says so.
		p := says("yes")
		asks := []string{"-o", "StrictHostKeyChecking=ask", "-o", "UserKnownHostsFile=/dev/null", "host", "true"}
		if _, err := r.ask(t.Context(), p, asks...); err != nil {
			t.Fatal(err)
		}
		if got := p.Asked()[0].Text; !contained(got, "WARNING: this key is new: the last login met ED25519 "+ssh.FingerprintSHA256(old)) {
			t.Errorf("asked %q", got)
		}
		r.again()
		r.open(lax...) // now that is the key

		// Whoever ended the connection by hand starts anew.
		r.srv.RotateHostKey()
		if _, err := r.m.Manage(t.Context(), &control.ManageRequest{Dest: r.destination("host"), Command: "exit"}); err == nil {
			t.Error("another destination's connection ended")
		}
		if _, err := r.m.Manage(t.Context(), &control.ManageRequest{Dest: r.destination(lax...), Command: "exit"}); err != nil {
			t.Fatal(err)
		}
		r.open(lax...)
	})
}

func TestTheKeyOfTheLastLoginGivesWayToKnownHosts(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.open("host", "true")
		r.again()
		r.know(r.srv.HostKey(), r.srv.RotateHostKey())
		r.open("host", "true")
		r.again()

		// Without an entry the first key is no better than the next one.
		r.know()
		r.srv.RotateHostKey()
		_, err := r.ask(t.Context(), nil, "-o", "StrictHostKeyChecking=accept-new", "host", "true")
		wantError(t, err, control.Refused, "the host key has changed")
		if got := r.remembered(); got != "" {
			t.Errorf("remembered %q", got)
		}
	})
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		off := []string{"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "host", "true"}
		r.open(off...)
		r.again()
		r.srv.RotateHostKey()
		r.open(off...)
	})
}
