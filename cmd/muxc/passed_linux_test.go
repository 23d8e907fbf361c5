package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What muxc is given by a shell may be used by muxd itself, where much flows.
// Nobody must notice by anything but the time it takes.

// big is more than travels through muxc: lines of seq 300000.
const big = 1988895

// TestBulkIntoAFile: files that others write too, at their end or at a shared
// offset; stderr to the same; and input from a file, whose rest is the next one's.
func TestBulkIntoAFile(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	name := filepath.Join(t.TempDir(), "f")
	for _, flag := range []int{os.O_APPEND, 0} {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC|flag, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, "before\n")
		c := h.muxc("box", "seq 300000; seq 300000 >&2")
		c.Stdout, c.Stderr = f, f
		if err := c.Run(); err != nil {
			t.Error(err)
		}
		io.WriteString(f, "after\n")
		b := read(t, name)
		if len(b) != 2*big+13 || !strings.HasPrefix(b, "before\n1\n2\n") || !strings.HasSuffix(b, "\n300000\nafter\n") {
			t.Errorf("flags %#x: %d bytes, the last %q", flag, len(b), b[max(0, len(b)-20):])
		}
		f.Seek(7, io.SeekStart)
		c = h.muxc("box", "cksum")
		c.Stdin = f
		sum, err := c.Output()
		local := exec.Command("cksum")
		local.Stdin = strings.NewReader(b[7:])
		if want, _ := local.Output(); string(sum) != string(want) || err != nil {
			t.Errorf("cksum %q, want %q, %v", sum, want, err)
		}
		if rest, err := io.ReadAll(f); len(rest) != 0 || err != nil {
			t.Errorf("%d bytes were not read, %v", len(rest), err)
		}
		f.Close()
	}
}

// TestBulkInputIsLeft: bulk flows from a pipe until the client is killed, or
// ends; muxd then takes nothing of it any more, at once.
func TestBulkInputIsLeft(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	for _, end := range []string{"kill", "exit"} {
		in, feed := pipe(t)
		go func() {
			feed.Write(make([]byte, big))
			io.WriteString(feed, "\n")
		}()
		p := h.start(h.muxc("box", fmt.Sprintf("head -c %d >/dev/null; read x; echo up; test ", big)+end+" = exit || exec sleep 60"), in)
		p.says("up\n")
		if end == "kill" {
			p.signal(syscall.SIGKILL)
		}
		p.wait()
		if end == "kill" { // the kernel tells muxd when it can
			h.eventually("muxd has left the pipe", func() bool { return !h.hasPipe(in) })
		}
		io.WriteString(feed, "next")
		feed.Close()
		if b, err := io.ReadAll(in); string(b) != "next" || err != nil {
			t.Errorf("%s: %q is left, %v", end, b, err)
		}
	}
}

// hasPipe reports that muxd has a descriptor of that pipe.
func (h *host) hasPipe(f *os.File) (found bool) {
	h.t.Helper()
	onFD(h.t.(*testing.T), f, func(fd int) error {
		link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		all, _ := filepath.Glob("/proc/" + strconv.Itoa(h.pid()) + "/fd/*")
		for _, path := range all {
			if l, _ := os.Readlink(path); l == link {
				found = true
			}
		}
		return err
	})
	return found
}

// TestBulkGoesOnWithoutAStoppedClient: as with ssh and a master; and what it had to
// say it says when it goes on.
func TestBulkGoesOnWithoutAStoppedClient(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	out, w := pipe(t)
	c := h.muxc("box", "seq 300000; read x; seq 300000; exit 3")
	c.Stdout = w
	in, feed := pipe(t)
	p := h.start(c, in)
	w.Close()
	b := make([]byte, big)
	if _, err := io.ReadFull(out, b); err != nil {
		t.Fatal(err)
	}
	io.WriteString(feed, "\n")
	h.eventually("muxc has sent it", func() bool { return queued(t, in) == 0 })
	time.Sleep(100 * time.Millisecond) // it may have read it and not sent it yet; then this proves nothing
	p.signal(syscall.SIGSTOP)
	again := make([]byte, big)
	out.SetReadDeadline(time.Now().Add(long))
	if _, err := io.ReadFull(out, again); err != nil || !bytes.Equal(b, again) {
		t.Errorf("with the client stopped: %v", err)
	}
	p.signal(syscall.SIGCONT)
	if r := p.wait(); r.code != 3 || r.err != "" {
		t.Errorf("%+v", r)
	}
}

// TestMuxdKilledUnderBulk: the client says what it says without bulk.
func TestMuxdKilledUnderBulk(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	out, w := pipe(t)
	c := h.muxc("box", "exec seq 999999999")
	c.Stdout = w
	p := h.start(c, nil)
	w.Close()
	if _, err := io.CopyN(io.Discard, out, big); err != nil {
		t.Fatal(err)
	}
	pid := h.pid()
	kill(t, pid, syscall.SIGKILL)
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	p.wait().fails(t, fmt.Sprintf(`box: muxd \(pid %d\) went away; the command may still be running`, pid))
}
