package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// startNetHost is startHost on a link that can be broken: all processes of the
// host are in the client's network namespace, sshd is in the server's. The
// lines stand in the host's block of ssh_config.
func startNetHost(t *testing.T, lines ...string) (*host, *sshtest.Netns) {
	t.Helper()
	needProc(t)
	n := sshtest.NewNetns(t)
	s := n.StartSSHD(t)
	h := newHost(t)
	h.sshd, h.enter = s, n.Exec
	h.cfg = s.ClientConfig(t, "box", lines...)
	return h, n
}

// told is what muxd events --json says, in short and in order.
type told struct {
	h *host
	p *running

	mu   sync.Mutex
	read int // guarded by mu; how much of the output is in all
	all  []happened
}

// happened is one event.
type happened struct {
	Time      time.Time
	Kind      string
	Link      int
	From, To  string
	Attempt   int
	SilenceMS int64 `json:"silence_ms"`
	Text      string
}

// String is the event without what differs from run to run.
func (e happened) String() string {
	switch e.Kind {
	case "link":
		return fmt.Sprintf("link %d %s", e.Link, e.To)
	case "host":
		return "host " + e.To
	}
	return e.Kind
}

// listen tells from now on what happens. The host must have a muxd.
func (h *host) listen() *told {
	h.t.Helper()
	e := &told{h: h, p: h.start(h.command("muxd", "events", "--json"), nil)}
	e.p.says(`"kind":"host"`) // how it stands now
	return e
}

// events are all that were told so far.
func (e *told) events() []happened {
	e.h.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	text := e.p.out.String()[e.read:]
	whole := strings.LastIndexByte(text, '\n') + 1
	for line := range strings.Lines(text[:whole]) {
		var v happened
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			e.h.t.Fatalf("%q: %v", line, err)
		}
		e.all = append(e.all, v)
	}
	e.read += whole
	return slices.Clone(e.all)
}

// names are the events so far as strings. Left out is what is a matter of luck:
// how many attempts to connect there were, and whether a client or muxd itself
// was the first to want one, at once or a moment later.
func (e *told) names() []string {
	var names []string
	for _, v := range e.events() {
		switch name := v.String(); name {
		case "dial", "host connecting", "host waiting":
		default:
			names = append(names, name)
		}
	}
	return slices.Compact(names)
}

// of is the first event of that name, which must come.
func (e *told) of(name string) happened {
	e.h.t.Helper()
	is := func(v happened) bool { return v.String() == name }
	if !until(long, func() bool { return slices.ContainsFunc(e.events(), is) }) {
		e.h.t.Fatalf("not within %v: %s; there were %q", long, name, e.names())
	}
	all := e.events()
	return all[slices.IndexFunc(all, is)]
}

// are fails the test unless the events come to be exactly these, as of names.
func (e *told) are(want ...string) {
	e.h.t.Helper()
	if !until(long, func() bool { return len(e.names()) >= len(want) }) || !slices.Equal(e.names(), want) {
		e.h.t.Fatalf("events\n%q, want\n%q\n%s", e.names(), want, e.p.out.String())
	}
}

// dials are the causes of attempts that failed.
func (e *told) dials() []string {
	var causes []string
	for _, v := range e.events() {
		if v.Kind == "dial" {
			causes = append(causes, v.Text)
		}
	}
	return causes
}

// logins fails the test unless sshd has seen so many. A handshake that a busy
// machine did not finish within ConnectTimeout may have come as far as sshd's
// word about it, and is allowed beside them.
func (h *host) logins(want int) {
	h.t.Helper()
	late := strings.Count(h.log(), "did not finish the SSH handshake in time")
	if n := h.sshd.Logins(); n < want || n > want+late {
		h.t.Errorf("%d logins, want %d; %d handshakes were not finished in time", n, want, late)
	}
}

// wasLost fails the test unless p ended with 255, what it had said before, and
// one line that matches. How long the silence was is said where it was over
// a second, which on a busy machine it may be.
func wasLost(t testing.TB, p *running, out, pattern string) {
	t.Helper()
	slow := strings.Replace(pattern, `)`+stillRuns, `)( after \d+s of silence)?`+stillRuns, 1)
	line := regexp.MustCompile(`\Amuxc: box: ` + slow + `\n\z`)
	if r := p.wait(); r.code != 255 || r.out != out || !line.MatchString(r.err) {
		t.Errorf("exit %d, stdout %.200q, stderr %.500q; want 255, %q and %q", r.code, r.out, r.err, out, pattern)
	}
}

// stillRuns is the end of a line about a session that was lost.
const stillRuns = `; the command may still be running`

// noAnswer is the line about a session whose connection was given up after a
// silence of at least so many seconds, and not of many more: muxd itself may
// have been kept waiting.
func (h *host) noAnswer(p *running, out string, atLeast int) {
	h.t.Helper()
	wasLost(h.t, p, out, `connection lost \(no answer: nothing was received for \d+s\)`+stillRuns)
	m := regexp.MustCompile(`received for (\d+)s`).FindStringSubmatch(p.err.String())
	if m == nil {
		return
	}
	if n, _ := strconv.Atoi(m[1]); n < atLeast || n > atLeast+10 {
		h.t.Errorf("given up after %d s, want %d", n, atLeast)
	}
}

// flow is a session that echoes a stream of which each byte is known.
type flow struct {
	h    *host
	p    *running
	stop chan struct{}
	done chan struct{}
	sent int // written before done is closed
	in   *os.File
}

// flowing starts one. A piece is on its way every 20 ms.
func (h *host) flowing(args ...string) *flow {
	h.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	f := &flow{h: h, p: h.start(h.muxc(append(args, "box", "cat")...), r), stop: make(chan struct{}), done: make(chan struct{}), in: w}
	r.Close()
	h.t.Cleanup(func() { w.Close(); <-f.done })
	go f.send()
	f.moves()
	return f
}

func (f *flow) send() {
	defer close(f.done)
	defer f.in.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := f.in.Write(known(f.sent, 1000))
		if f.sent += n; err != nil {
			return
		}
		select {
		case <-f.stop:
			return
		case <-tick.C:
		}
	}
}

// known is n bytes of the stream from an offset on. No piece of it is like
// another: what is lost, doubled or moved shows.
func known(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		x := uint64(from+i) * 0x9e3779b97f4a7c15
		b[i] = byte(x >> 56)
	}
	return b
}

// moves waits until more has come back than now.
func (f *flow) moves() {
	f.h.t.Helper()
	was := len(f.p.out.String())
	f.h.eventually("the stream goes on", func() bool { return len(f.p.out.String()) > was || closed(f.p.done) })
	if closed(f.p.done) {
		f.h.t.Fatalf("the stream ended: %q", f.p.err.String())
	}
}

// whole ends the stream and fails the test unless every byte came back, once
// and in order, and nothing else was said.
func (f *flow) whole() {
	f.h.t.Helper()
	close(f.stop)
	<-f.done
	r := f.p.wait()
	if r.code != 0 || r.err != "" || r.out != string(known(0, f.sent)) {
		f.h.t.Errorf("exit %d, stderr %q, %d bytes back of %d", r.code, r.err, len(r.out), f.sent)
	}
}

// prefix fails the test unless what came back is the begin of what was sent.
func (f *flow) prefix() {
	f.h.t.Helper()
	if out := f.p.out.String(); out != string(known(0, len(out))) {
		f.h.t.Errorf("%d bytes came back, which are not those that were sent", len(out))
	}
}

// cpu is the processor time that muxd has used.
func (h *host) cpu() time.Duration {
	h.t.Helper()
	text := read(h.t, fmt.Sprintf("/proc/%d/stat", h.pid()))
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	if err1 != nil || err2 != nil {
		h.t.Fatalf("%q", text)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}
