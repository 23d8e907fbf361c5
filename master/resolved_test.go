package master

import (
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// Two spellings really travel on one connection, and two identities do not.
func TestSharingForReal(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true")
		r.run("-p", "22", "-l", "me", "HOST", "true")
		r.run("ssh://me@host", "true")
		r.wantLogins(1)
		r.write("key", "")
		r.run("-i", "key", "host", "true")
		r.wantLogins(2)
	})
}

func TestResolveWithoutAPerson(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		for _, args := range [][]string{{"-v", "host"}, {"-t", "host", "ls"}} {
			if _, err := r.plan(nil, args...); err != nil {
				t.Error(err)
			}
		}
		p := says("")
		if _, err := r.plan(p, "-v", "me@host", "ls"); err != nil || !strings.HasPrefix(p.Told(), "debug1: me@host is me@host:22, connection ") {
			t.Errorf("%v, told %q", err, p.Told())
		}
	})
}
