package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Faults of the client: F21, F22, F28 and F29 of the fault matrix.

// gone waits until a process on this machine, which is the server's too, has
// ended.
func (h *host) gone(what string, pid int) {
	h.t.Helper()
	h.eventually(what+" is gone", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}

// stays fails the test unless the one connection of the host is there, carries
// nothing, and serves.
func (h *host) stays() {
	h.t.Helper()
	h.eventually("the session is over", func() bool { return len(h.status().Hosts[0].Sessions) == 0 })
	h.echo()
	if st := h.status().Hosts[0]; st.State != "ready" || st.Logins != 1 || len(st.Links) != 1 || st.Links[0].Sessions != 0 {
		h.t.Errorf("%+v", st)
	}
}

// pidOf is the number that a command printed first.
func (h *host) pidOf(p *running) int {
	h.t.Helper()
	p.says("\n")
	line, _, _ := strings.Cut(p.out.String(), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || syscall.Kill(pid, 0) != nil {
		h.t.Fatalf("%q is not the number of a process: %v", line, err)
	}
	return pid
}

// TestClientKilled is F21: whatever the command waits for, it learns that its
// client is gone, and the connection stays.
func TestClientKilled(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	for what, args := range map[string][]string{
		"one that reads":              {"box", "echo $$; exec cat"},
		"one that writes":             {"box", "echo $$; exec yes"},
		"one on a terminal":           {"-tt", "box", "echo $$; exec sleep 600"},
		"one that reads its terminal": {"-tt", "box", "echo $$; exec cat"},
	} {
		p := h.start(h.muxc(args...), blocked(t))
		pid := h.pidOf(p)
		p.signal(syscall.SIGKILL)
		if r := p.wait(); r.code != 128+9 || r.err != "" {
			t.Errorf("%s: exit %d, %q", what, r.code, r.err)
		}
		h.gone(what, pid)
		h.stays()
	}
	// And a terminal that is closed, with a shell on it and what it started.
	s := h.onScreen(h.muxc("box"))
	s.shows("R> ")
	s.types("sh -c 'echo $PPID $$; exec sleep 600'\r")
	m := s.expect(`(\d+) (\d+)\r\n`)
	s.ptm.Close()
	s.ends(255)
	for i, what := range []string{"the shell", "its job"} {
		pid, _ := strconv.Atoi(m[i+1])
		h.gone(what, pid)
	}
	h.stays()
}

// TestClientKilledBesideASleeper: what neither reads nor writes nor has a
// terminal is sent a signal, where sshd passes those on.
func TestClientKilledBesideASleeper(t *testing.T) {
	t.Parallel()
	h, _ := startOrdinaryHost(t)
	p := h.start(h.muxc("box", "echo $$; exec sleep 600"), blocked(t))
	pid := h.pidOf(p)
	p.signal(syscall.SIGKILL)
	p.wait()
	h.gone("the sleeper", pid)
	h.stays()
}

// resident is muxd's memory in bytes.
func (h *host) resident() int64 {
	h.t.Helper()
	var pages, n int64
	if _, err := fmt.Sscan(read(h.t, fmt.Sprintf("/proc/%d/statm", h.pid())), &pages, &n); err != nil {
		h.t.Fatal(err)
	}
	return n * int64(os.Getpagesize())
}

const (
	// mayHold is what a client that does not read may make muxd hold: SSH's
	// window of a channel, and what is on the way to the client.
	mayHold = 2<<20 + 256<<10
	// garbage is what a process in Go needs beyond what it holds: as much again
	// until it collects, and its own unrest.
	garbage = 12 << 20
)

// bounded fails the test when muxd takes, at any time within d, more memory
// than before by what n clients may make it hold. It returns the most it was.
func (h *host) bounded(before int64, n int, d time.Duration) (most int64) {
	h.t.Helper()
	until(d, func() bool { most = max(most, h.resident()-before); return false })
	if limit := int64(n*2*mayHold + garbage); most > limit {
		h.t.Errorf("muxd has grown by %d KiB for %d clients that do not read, at most %d are right", most>>10, n, limit>>10)
	}
	return most
}

// TestStoppedClientsMemory is F22: clients that are stopped under an endless
// output, with whoever reads it, live on, cost muxd no more than their windows, and
// go on when they are continued, to the byte.
func TestStoppedClientsMemory(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.bulk()
	before := h.resident()
	const n = 4
	var all []*running
	var sums []*hashing
	var readers []*counted
	for range n {
		c, sum := h.muxc("box", "exec seq 0 999999999"), &hashing{Hash: sha256.New()}
		lines := &counted{to: sum}
		c.Stdout = lines
		all, sums, readers = append(all, h.start(c, nil)), append(sums, sum), append(readers, lines)
		t.Cleanup(func() {
			if lines.wrong != "" {
				t.Errorf("in the place of line %d there came %q", lines.next, lines.wrong)
			}
		})
	}
	for i, p := range all {
		h.eventually("output flows", func() bool { return sums[i].bytes() > 1<<20 })
		p.signal(syscall.SIGSTOP)
		readers[i].stopped.Lock()
	}
	grown := h.bounded(before, n, 3*time.Second)
	t.Logf("%d KiB more for %d stopped clients", grown>>10, n)
	h.echo()
	for i, p := range all {
		held := sums[i].bytes()
		p.signal(syscall.SIGCONT)
		readers[i].stopped.Unlock()
		h.eventually("it goes on", func() bool { return sums[i].bytes() > held+4<<20 }) // beyond what was under way
		p.signal(syscall.SIGKILL)
		p.wait()
	}
	h.stays()
}

// counted checks the output of seq from 0 on as it comes.
type counted struct {
	to    io.Writer
	next  int
	rest  []byte
	wrong string

	stopped sync.Mutex // held while nothing is to be read
}

func (c *counted) Write(p []byte) (int, error) {
	c.stopped.Lock()
	defer c.stopped.Unlock()
	c.rest = append(c.rest, p...)
	var want []byte
	for {
		want = append(strconv.AppendInt(want[:0], int64(c.next), 10), '\n')
		if len(c.rest) < len(want) {
			break
		}
		if got := string(c.rest[:len(want)]); got != string(want) && c.wrong == "" {
			c.wrong = got
		}
		c.rest = c.rest[len(want):]
		c.next++
	}
	return c.to.Write(p)
}

// bulk moves 48 MiB to a client and returns how long that took.
func (h *host) bulk() time.Duration {
	h.t.Helper()
	began := time.Now()
	c := h.muxc("box", "head -c 50331648 /dev/zero")
	var n hashing
	n.Hash = sha256.New()
	c.Stdout = &n
	if r := h.run(c, nil); r.code != 0 || r.err != "" || n.bytes() != 48<<20 {
		h.t.Errorf("exit %d, %q, %d bytes", r.code, r.err, n.bytes())
	}
	return time.Since(began)
}

// TestSlowReaders is F28: clients that take a KiB a second of an endless output
// hold up nobody and cost muxd no more than their windows.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.bulk()
	alone := min(h.bulk(), h.bulk())
	before := h.resident()
	const n = 4
	var got []chan string
	for range n {
		out, in := pipe(t)
		c := h.muxc("box", "exec seq 0 999999999")
		c.Stdout = in
		p := h.start(c, nil)
		in.Close()
		got = append(got, make(chan string, 1))
		go slowly(p, out, got[len(got)-1])
	}
	h.eventually("all have begun", func() bool { return len(h.status().Hosts[0].Sessions) == n })
	grown := h.bounded(before, n, 3*time.Second)
	beside := min(h.bulk(), h.bulk())
	t.Logf("%d KiB more for %d slow readers; 48 MiB in %v alone, in %v beside them", grown>>10, n, alone, beside)
	if beside > 5*alone+soon { // what else the machine does weighs more than they may
		t.Errorf("48 MiB took %v alone and %v beside slow readers", alone, beside)
	}
	for _, st := range h.status().Hosts[0].Sessions {
		if st.BytesOut > 4<<20 {
			t.Errorf("the server was allowed to send %d bytes to one that reads slowly", st.BytesOut)
		}
	}
	for _, c := range got {
		text := <-c
		if want := firstNumbers(len(text)); text != want || len(text) < 2<<10 {
			t.Errorf("%d bytes came, and not the ones that were sent", len(text))
		}
	}
	if st := h.status().Hosts[0]; st.Logins != 1 || len(st.Links) != 1 {
		t.Errorf("%+v", st)
	}
}

// slowly reads a KiB a second for some seconds.
func slowly(p *running, out io.Reader, got chan<- string) {
	var text strings.Builder
	for range 4 {
		time.Sleep(time.Second)
		io.CopyN(&text, out, 1<<10)
	}
	p.cmd.Process.Kill()
	got <- text.String()
}

func firstNumbers(n int) string {
	var b []byte
	for i := 0; len(b) < n; i++ {
		b = append(strconv.AppendInt(b, int64(i), 10), '\n')
	}
	return string(b[:n])
}

// TestReaderGoesAwayAndTheCommandGoesOn is F29: the command's writing fails as
// it would into a local pipe, and its status is muxc's all the same.
func TestReaderGoesAwayAndTheCommandGoesOn(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	told := filepath.Join(h.dir, "told")
	for _, tt := range []struct {
		cmd  string
		code int
		err  string
	}{
		{"yes; echo $? >" + told + "; exit 7", 7, ""},       // killed by SIGPIPE, and the shell goes on
		{"trap '' PIPE; yes 2>" + told + "; exit 8", 8, ""}, // told by EPIPE
		{"exec yes", 128 + 13, ""},                          // nothing is said of it, as by a shell
	} {
		os.Remove(told)
		c := h.muxc("box", tt.cmd)
		out, in := pipe(t)
		c.Stdout = in
		p := h.start(c, blocked(t))
		in.Close()
		if line, err := bufio.NewReaderSize(out, 16).ReadString('\n'); line != "y\n" {
			t.Fatalf("%q, %v", line, err)
		}
		out.Close()
		r := p.wait()
		r.is(t, "", tt.err, tt.code)
		if r.took > 2*soon {
			t.Errorf("%s: it took %v", tt.cmd, r.took)
		}
		switch text := maybe(told); {
		case tt.code == 7 && text != "141\n", tt.code == 8 && !strings.Contains(text, "roken pipe"):
			t.Errorf("%s: the writer was told %q", tt.cmd, text)
		}
	}
	h.stays()
}
