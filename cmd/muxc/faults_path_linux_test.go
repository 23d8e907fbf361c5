package main

import (
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// These are the faults of a path, F5 to F9 of the matrix. See interval1 for the
// times.

// TestSilentPath (F5, and F7, where only the server's words are lost): an idle
// connection into which nothing happened is asked, doubted, replaced in vain,
// and given up when its time has come. Waiting for that costs nothing.
func TestSilentPath(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*sshtest.Netns){
		"both ways":        (*sshtest.Netns).Blackhole,
		"server to client": func(n *sshtest.Netns) { n.OneWay(sshtest.Down) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, n := startNetHost(t, interval1...)
			h.loggedIn()
			old := h.waiting(2)
			e := h.listen()
			cpu := h.cpu()
			fault(n)
			for _, p := range old {
				h.noAnswer(p, "up\n", 7)
			}
			if used := h.cpu() - cpu; used > 500*time.Millisecond {
				t.Errorf("muxd worked for %v meanwhile", used)
			}
			e.are("host ready", "link 1 suspect", "host suspect", "link 1 dead")
			if s := e.of("link 1 suspect").SilenceMS; s < 3500 || s > 7000+soon.Milliseconds() {
				t.Errorf("a doubt after %d ms of silence", s)
			}
			if s := e.of("link 1 dead").SilenceMS; s < 7000 || s > 10000+soon.Milliseconds() {
				t.Errorf("the end after %d ms of silence", s)
			}
			if len(e.dials()) == 0 {
				t.Error("no replacement was tried")
			}
			n.Heal()
			h.echo("-o", "WaitForReady=yes")
			h.logins(2)
		})
	}
}

// TestSilentPathHealed (F5): what was away for less than it takes to doubt was
// never away.
func TestSilentPathHealed(t *testing.T) {
	t.Parallel()
	h, n := startNetHost(t, "ServerAliveInterval 30") // a busy machine may take seconds to heal it
	f := h.flowing()
	e := h.listen()
	n.Blackhole()
	time.Sleep(1500 * time.Millisecond) // TCP repeats at 0.2, 0.6, 1.4 and 3 s
	n.Heal()
	f.moves()
	f.whole()
	h.echo()
	e.are("host ready")
	h.logins(1)
}

// TestUnsetIntervalKeepsSessions (F5 as house rule 16 has it): where nobody set
// ServerAliveInterval, a session outlives what ssh's arithmetic would have
// ended, and no byte of it is lost. KeepWarm asks after 1 s here, and not after
// 15; the rest is as it is unset.
func TestUnsetIntervalKeepsSessions(t *testing.T) {
	t.Parallel()
	h, n := startNetHost(t, "ConnectTimeout 1")
	h.own("WaitForReady no\nKeepWarm 1s\n")
	h.loggedIn()
	f := h.flowing()
	e := h.listen()
	n.Blackhole()
	e.of("link 1 suspect")
	e.of("dial")
	if closed(f.p.done) {
		t.Error("the session ended by a doubt")
	}
	n.Heal()
	f.moves()
	h.echo("-o", "WaitForReady=yes")
	f.whole()
	if dead := e.dead(1); dead != "" && dead != "replaced" {
		t.Errorf("the connection ended: %s", dead)
	}
}

// dead is why a link ended, "" if it has not.
func (e *told) dead(link int) string {
	for _, v := range e.events() {
		if v.Kind == "link" && v.Link == link && v.To == "dead" {
			return v.Text
		}
	}
	return ""
}

// TestCommandIntoSilence (F6, and F7): a person who types a command into a path
// that went silent sees within a second that it waits, and that it is over when
// the time is up that they gave it. What they typed did not run, and nothing
// was cut for its sake.
func TestCommandIntoSilence(t *testing.T) {
	t.Parallel()
	requireTerminals(t)
	for name, fault := range map[string]func(*sshtest.Netns){
		"both ways":        (*sshtest.Netns).Blackhole,
		"server to client": func(n *sshtest.Netns) { n.OneWay(sshtest.Down) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, n := startNetHost(t, "ServerAliveInterval 1", "ServerAliveCountMax 30", "ConnectTimeout 1")
			h.loggedIn()
			ran := h.dir + "/ran"
			f := h.flowing()
			e := h.listen()
			fault(n)
			time.Sleep(time.Second) // a command that comes at once is sent without another proof
			began := time.Now()
			h.setenv("TERM", "xterm")
			bounded := h.onScreen(h.muxc("-o", "WaitForReady=6", "box", "echo x >>"+ran))
			patient := h.onScreen(h.muxc("-o", "WaitForReady=yes", "box", "echo y >>"+ran+"; echo done"))
			bounded.shows("muxc: box: ")
			if d := time.Since(began); d < time.Second || d > 4*time.Second+soon {
				t.Errorf("it says that it waits after %v", d)
			}
			patient.expect(`no byte for \d+ s, reconnecting`)
			if d := e.of("link 1 suspect").Time.Sub(began); d > 6*time.Second+soon {
				t.Errorf("a doubt after %v", d)
			}
			bounded.ends(255)
			bounded.expect(quote(erased) + `muxc: box: [^\n]+ \(waited 6s; WaitForReady sets how long\)\r\n\z`)
			if d := time.Since(began); d < 6*time.Second || d > 9*time.Second+soon {
				t.Errorf("WaitForReady=6 waited %v", d)
			}
			n.Heal()
			patient.ends(0)
			patient.expect(quote(erased) + `done\r\n\z`)
			if got := maybe(ran); got != "y\n" {
				t.Errorf("what ran: %q", got)
			}
			f.moves()
			f.whole()
		})
	}
}

// TestHealedBeforeTheBound (F6): a command that met silence goes on, on the
// connection that there was, when the path is back before that was doubted.
func TestHealedBeforeTheBound(t *testing.T) {
	t.Parallel()
	h, n := startNetHost(t, interval1...)
	h.loggedIn()
	h.echo()
	e := h.listen()
	n.Blackhole()
	p := h.start(h.muxc("-o", "WaitForReady=6", "box", "echo works"), nil)
	// The kernel says again what was not heard 1.4 s after it was said first, and
	// then 3 s after, which is when the connection is doubted.
	time.Sleep(time.Second)
	if closed(p.done) {
		t.Error("it ended in silence")
	}
	n.Heal()
	p.wait().is(t, "works\n", "", 0)
	e.are("host ready")
	h.logins(1)
}

// TestSendingIsNoLife (F7): the server hears everything and nobody hears the
// server. Bytes that go out prove nothing.
func TestSendingIsNoLife(t *testing.T) {
	t.Parallel()
	h, n := startNetHost(t, interval1...)
	h.loggedIn()
	got := h.dir + "/got"
	p := h.start(h.muxc("box", "echo up; exec cat >"+got), endless{})
	p.says("up\n")
	e := h.listen()
	n.OneWay(sshtest.Down)
	began := time.Now()
	was := fileSize(got)
	h.eventually("the server still hears", func() bool { return fileSize(got) > was })
	h.noAnswer(p, "up\n", 7)
	if d := time.Since(began); d > 11*time.Second+soon {
		t.Errorf("given up after %v", d)
	}
	e.are("host ready", "link 1 suspect", "host suspect", "link 1 dead")
}

// fileSize is that of a file, 0 where there is none.
func fileSize(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}

// endless gives a byte every 50 ms.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	p[0] = 'x'
	return 1, nil
}

// TestBulkIntoABlackHole (F8): a producer is held up and not told that what it
// wrote had arrived; the kernel's own limit does not come before ours; and when
// ours has come, nothing hangs.
func TestBulkIntoABlackHole(t *testing.T) {
	t.Parallel()
	h, n := startNetHost(t, interval1...)
	h.loggedIn()
	got := h.dir + "/got"
	var taken atomic.Int64
	r, w := pipe(t)
	p := h.start(h.muxc("box", "exec cat >"+got), r)
	produced := make(chan error, 1)
	go func() {
		for {
			m, err := w.Write(known(int(taken.Load()), 32<<10))
			if taken.Add(int64(m)); err != nil {
				produced <- err
				return
			}
		}
	}()
	h.eventually("a megabyte has gone over", func() bool { return fileSize(got) > 1<<20 || closed(p.done) })
	e := h.listen()
	n.Blackhole()
	h.eventually("a black hole that takes nothing holds up the producer", func() bool {
		held := taken.Load()
		time.Sleep(time.Second)
		return taken.Load() == held
	})
	if closed(p.done) {
		t.Error("it ended before its time")
	}
	h.noAnswer(p, "", 7)
	if late := time.Since(e.of("link 1 dead").Time); late > 2*time.Second+soon {
		t.Errorf("it ended %v after its connection", late)
	}
	r.Close() // the test's own; muxc's went with it
	if err := <-produced; err == nil || !strings.Contains(err.Error(), "broken pipe") {
		t.Errorf("the producer: %v", err)
	}
	e.are("host ready", "link 1 suspect", "host suspect", "link 1 dead")
	arrived := maybe(got)
	if int64(len(arrived)) >= taken.Load() || arrived != string(known(0, len(arrived))) {
		t.Errorf("%d bytes arrived of %d", len(arrived), taken.Load())
	}
}

// TestForgottenConnection (F9): a server that no longer knows the connection
// says so to the next probe, and nobody waits for the end of a budget.
func TestForgottenConnection(t *testing.T) {
	t.Parallel()
	h, n := startNetHost(t, "ServerAliveInterval 3", "ServerAliveCountMax 60")
	old := h.waiting(2)
	e := h.listen()
	n.Forget(h.sshd)
	if closed(old[0].done) || slices.Contains(e.names(), "link 1 dead") {
		t.Fatalf("it was told: %q", e.names())
	}
	healed := time.Now()
	for _, p := range old {
		wasLost(t, p, "up\n", `connection lost \(connection reset by peer\)`+stillRuns)
	}
	if d := time.Since(healed); d > 6*time.Second+soon {
		t.Errorf("it took %v, and a probe is due after 3 s", d)
	}
	e.of("link 1 dead")
	e.of("link 2 ready")
	// Where forgetting took seconds, a probe was lost meanwhile, and another connection
	// was made beside the one in doubt.
	if !slices.Contains(e.names(), "link 1 suspect") {
		e.are("host ready", "link 1 dead", "link 2 ready", "host ready")
	}
	h.echo()
	h.logins(2)
}
