package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// These are the faults of a machine that moves, F10 and F11 of the matrix, and
// the story for which muxd exists.

// movedTo is the client's second address.
const movedTo = "10.99.0.3"

// TestAddressReplaced (F10): the change is known a second later, what hung on
// the old address is doubted and replaced from the new one, and ended once it
// is clear that the address does not come back.
func TestAddressReplaced(t *testing.T) {
	t.Parallel()
	h, n := startNetHost(t) // nobody set an interval: only the change can tell
	old := h.waiting(2)
	e := h.listen()
	n.AddAddress(movedTo)
	e.of("network") // an address more harms nobody
	h.echo()
	n.RemoveAddress(sshtest.ClientIP)
	moved := time.Now()

	e.of("link 2 ready")
	changed := e.last("network").Time.Sub(moved)
	if changed > 3*time.Second+soon {
		t.Errorf("the change was known after %v", changed)
	}
	if d := e.of("link 1 suspect").Time.Sub(moved); d < 3*time.Second || d > 7*time.Second+soon {
		t.Errorf("the old connection was doubted after %v", d)
	}
	h.run(h.muxc("box", "echo ${SSH_CONNECTION%% *}"), nil).is(t, movedTo+"\n", "", 0)
	for _, p := range old {
		if closed(p.done) && time.Since(moved) < 5*time.Second {
			t.Error("a session ended before its address had time to come back")
		}
		wasLost(t, p, "up\n", `connection lost \(the local address of the connection is gone\)`+stillRuns)
	}
	if d := e.of("link 1 dead").Time.Sub(e.last("network").Time); d < 5*time.Second || d > 10*time.Second+soon {
		t.Errorf("the old connection was ended after %v", d)
	}
	e.are("host ready", "network", "link 1 suspect", "host suspect", "link 2 ready", "host ready", "link 1 dead")
	h.logins(2)
}

// last is the newest event of that name.
func (e *told) last(name string) happened {
	e.h.t.Helper()
	e.of(name)
	var found happened
	for _, v := range e.events() {
		if v.String() == name {
			found = v
		}
	}
	return found
}

// TestAddressReturns (F10): an interface that flaps costs no session.
func TestAddressReturns(t *testing.T) {
	t.Parallel()
	h, n := startNetHost(t)
	f := h.flowing()
	e := h.listen()
	n.AddAddress(movedTo)
	n.RemoveAddress(sshtest.ClientIP)
	e.of("link 2 ready")
	n.AddAddress(sshtest.ClientIP)
	f.moves()
	f.whole()
	if why := e.of("link 1 dead").Text; why != "replaced" {
		t.Errorf("the old connection ended: %s", why)
	}
	h.logins(2)
}

// inMounts makes what a host starts see a file in the place of another.
func (h *host) inMounts(file, place string) {
	h.t.Helper()
	if out, err := exec.Command("unshare", "-m", "mount", "--bind", file, place).CombinedOutput(); err != nil {
		sshtest.Lacks(h.t, "netns", fmt.Errorf("a mount namespace: %v: %s", err, out))
	}
	enter := h.enter
	h.enter = func(args ...string) *exec.Cmd {
		return enter(append([]string{"unshare", "-m", "sh", "-c", `mount --bind "$0" "$1" && shift && exec "$@"`, file, place}, args...)...)
	}
}

// TestNameMoves (F11): the name is looked up for every attempt, so that a server
// which moved, and has the same key, is found again without a word.
func TestNameMoves(t *testing.T) {
	t.Parallel()
	const newIP = "10.99.0.4"
	h, n := startNetHost(t)
	n.AddServerAddress(newIP)
	h.sshd.Configure(t, "ListenAddress "+newIP)
	h.sshd.Restart(t)
	hosts := write(t, filepath.Join(h.dir, "hosts"), sshtest.ServerIP+" srv.test\n")
	h.inMounts(hosts, "/etc/hosts")
	h.cfg = h.sshd.ClientConfig(t, "box", "HostName srv.test", "HostKeyAlias "+sshtest.ServerIP, "ServerAliveInterval 1", "ServerAliveCountMax 2", "ConnectTimeout 2")
	server := func() *exec.Cmd { return h.muxc("-o", "WaitForReady=yes", "box", "set -- $SSH_CONNECTION; echo $3") }
	h.loggedIn()
	h.run(server(), nil).is(t, sshtest.ServerIP+"\n", "", 0)
	old := h.waiting(1)
	e := h.listen()
	if err := os.WriteFile(hosts, []byte(newIP+" srv.test\n"), 0o600); err != nil { // in place: it is mounted
		t.Fatal(err)
	}
	n.RemoveServerAddress(sshtest.ServerIP)
	h.noAnswer(old[0], "up\n", 3)
	h.run(server(), nil).is(t, newIP+"\n", "", 0)
	e.are("host ready", "link 1 dead", "link 2 ready", "host ready")
	if want := fmt.Sprintf("remote=%s:22", newIP); !strings.Contains(h.log(), want) {
		t.Errorf("no %q in the log", want)
	}
	h.logins(2)
}

// TestLaptopStory: the network is pulled while sessions run, and comes back.
// What was typed meanwhile says what it waits for and is then done, without
// another word of the person's; the sessions from before go on, or end with
// a line that says why and that what they ran may go on.
func TestLaptopStory(t *testing.T) {
	t.Parallel()
	requireTerminals(t)
	for _, again := range []string{sshtest.ClientIP, movedTo} {
		t.Run("back at "+again, func(t *testing.T) {
			t.Parallel()
			h, n := startNetHost(t)
			f := h.flowing()
			e := h.listen()
			n.Unplug()
			n.RemoveAddress(sshtest.ClientIP)
			e.of("link 1 suspect")
			h.setenv("TERM", "xterm")
			c := h.onScreen(h.muxc("-o", "WaitForReady=yes", "box", "echo ${SSH_CONNECTION%% *}"))
			c.resize(33, 160) // room for the cause
			c.expect(`muxc: box: no byte for \d+ s, reconnecting`)
			c.expect(`network is unreachable|no route`)
			time.Sleep(2 * time.Second)
			if closed(f.p.done) || closed(c.done) {
				t.Fatal("something ended while the network was away")
			}
			back := time.Now()
			n.AddAddress(again)
			n.Plug()
			c.ends(0)
			c.expect(quote(erased) + quote(again) + `\r\n\z`)
			if d := time.Since(back); d > 8*time.Second+soon {
				t.Errorf("it took %v from the network's return to the command's end", d)
			}
			c.restored(c.fresh)
			if again == sshtest.ClientIP {
				f.moves()
				f.whole()
				if why := e.dead(1); why != "" && why != "replaced" {
					t.Errorf("the old connection ended: %s", why)
				}
				return
			}
			wasLost(t, f.p, f.p.out.String(), `connection lost \(the local address of the connection is gone\)`+stillRuns)
			f.prefix()
			if d := time.Since(back); d < 4*time.Second || d > 12*time.Second+soon {
				t.Errorf("the old session ended %v after the network's return", d)
			}
			h.logins(2)
		})
	}
}
