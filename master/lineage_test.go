package master

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"muxd/internal/sshtest"
)

// A changed configuration makes another connection; the one from before takes
// no more work and ends with what it carries. One line says so, under -v.
func TestAChangedConfiguration(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "Host box\n HostName host\n")
		s := r.open("box", "sleep", "1h")
		r.run("box", "true")
		r.wantLogins(1)
		r.write(".ssh/config", "Host box\n HostName host\n IdentitiesOnly yes\n")
		p := says("")
		loud, err := r.ask(t.Context(), p, "-v", "box", "true")
		if err != nil {
			t.Fatal(err)
		}
		finish(loud)
		if told := p.Told(); strings.Count(told, "debug1: the configuration of box changed: ") != 1 {
			t.Errorf("told %q", told)
		}
		r.wantLogins(2)
		if got := r.allLinks(); got != "draining ready" && got != "ready draining" {
			t.Errorf("links %q", got)
		}
		s.Close()
		synctest.Wait()
		if got := r.allLinks(); got != "ready" {
			t.Errorf("links %q after the old one's last session", got)
		}
		// Back again: another change.
		r.write(".ssh/config", "Host box\n HostName host\n")
		r.run("box", "true")
		r.wantLogins(3)
		if got := r.allLinks(); got != "ready" {
			t.Errorf("links %q", got)
		}
	})
}

// allLinks are the states of the connections of all hosts.
func (r *rig) allLinks() string {
	synctest.Wait()
	var all []string
	for _, h := range r.m.all() {
		for _, l := range h.status().Links {
			all = append(all, l.State)
		}
	}
	return strings.Join(all, " ")
}

// What differs by something else than the files stays side by side: options,
// environment, and a file that changed in what is none of this host's.
func TestNoChangeOfTheConfiguration(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "Host box\n HostName host\n IdentityFile ${KEY}\n")
		for _, key := range []string{"/a", "/b", "/a", "/b"} {
			r.env = []string{"KEY=" + key}
			r.run("box", "true")
			r.run("-o", "IdentitiesOnly=yes", "box", "true")
		}
		r.wantLogins(4)
		r.write(".ssh/config", "Host box\n HostName host\n IdentityFile ${KEY}\nHost other\n User x\n")
		r.run("box", "true")
		r.wantLogins(4)
		if got := r.allLinks(); got != "ready ready ready ready" {
			t.Errorf("links %q", got)
		}
	})
}

// Other words that lead to the same place, by the configuration as it is now,
// keep it.
func TestAChangeForOtherWords(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "Host box\n HostName host\n")
		r.run("box", "true")
		r.run("host", "true")
		r.wantLogins(1)
		r.write(".ssh/config", "Host box\n HostName host\n IdentitiesOnly yes\n")
		r.run("host", "true")
		r.run("box", "true")
		r.run("host", "true")
		r.wantLogins(2)
		if got := r.allLinks(); got != "ready ready" {
			t.Errorf("links %q", got)
		}
	})
}

// A private connection says nothing about where the same words lead otherwise:
// a change of the configuration still retires the connection that is shared.
func TestAPrivateConnectionIsNoChange(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "Host box\n HostName host\n")
		r.run("box", "true")
		r.run("-S", "none", "box", "true")
		r.write(".ssh/config", "Host box\n HostName host\n IdentitiesOnly yes\n")
		r.run("box", "true")
		if got := r.allLinks(); got != "ready" {
			t.Errorf("links %q", got)
		}
	})
}

// Whoever calls with other words every time does not fill memory with them.
func TestLineagesAreBounded(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true")
		d := *r.destination("host")
		for i := range 3 * maxLineages {
			d.Words = fmt.Sprint(i)
			r.m.supersede(&d, nobody{})
		}
		if n := len(r.m.lineages); n > maxLineages {
			t.Errorf("%d are remembered", n)
		}
	})
}
