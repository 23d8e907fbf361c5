package main

import (
	"bytes"
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

	"muxd/internal/sshtest"
)

// bySh is a shell command in which $ssh is stock ssh through the door.
func (d *doorway) bySh(script string) result {
	d.t.Helper()
	c := d.command("/bin/sh", "-c", script)
	c.Env = append(append([]string(nil), d.env...), "ssh=ssh -F "+d.cfg+" -S "+d.path)
	return d.run(c, nil)
}

// What a shell does with ssh's standard input, and with what it prints.
func TestDoorInShells(t *testing.T) {
	d := openDoor(t)
	write(t, filepath.Join(d.dir, "list"), "one\ntwo\nthree\n")
	for script, want := range map[string]string{
		"$ssh box cat <<EOF\nhere $((1+1))\nEOF":                                 "here 2\n",
		"$ssh box 'wc -l' < list | tr -d ' '":                                    "3\n",
		"while read x; do $ssh box echo $x </dev/null; done < list":              "one\ntwo\nthree\n",
		"{ $ssh box 'read x; echo $x; exec cat >/dev/null'; echo then; } < list": "one\nthen\n",
		"x=$($ssh box echo in); y=$($ssh box 'echo err >&2' 2>&1); echo $x $y":   "in err\n",
		"$ssh box yes | head -2; echo end":                                       "y\ny\nend\n",
		"$ssh box 'cat; echo closed' <&-":                                        "closed\n",
		"$ssh box echo nowhere >&-; echo $?":                                     "0\n",
		"$ssh box 'echo nowhere >&2; exit 6' 2>&-; echo $?":                      "6\n",
		"$ssh -n box cat < list; echo $?":                                        "0\n",
		"(echo a; sleep 1; echo b) | $ssh box cat":                               "a\nb\n",
		"$ssh box 'exec 0<&-; sleep 1; echo none' </dev/zero":                    "none\n",
		"$ssh box 'head -c 100000 | wc -c' </dev/zero | tr -d ' '":               "100000\n",
		"$ssh box 'exec 1>&-; sleep 1; echo late >&2' 2>&1":                      "late\n",
		"$ssh box 'sleep 1 & echo begun; exit 3'; echo $?":                       "begun\n3\n",
	} {
		t.Run(script, func(t *testing.T) {
			r := d.bySh(script)
			r.is(t, want, "", 0)
		})
	}
	d.logins(1)
}

// A command that does not read has little swallowed for it: of a file that is
// shared with others what the server gives room for is gone.
func TestDoorLeavesTheRest(t *testing.T) {
	d := openDoor(t)
	big, err := os.Open(d.random("big", 16<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	d.run(d.by("box", "sleep 0.5"), big).is(t, "", "", 0)
	if at, _ := big.Seek(0, io.SeekCurrent); at > 4<<20 {
		t.Errorf("%d bytes were taken for a command that read none", at)
	}
}

// Both outputs at once, and much of each, to one who reads slowly.
func TestDoorOutputsApart(t *testing.T) {
	d := openDoor(t)
	const n = 20 << 20
	c := d.by("box", fmt.Sprintf("head -c %d /dev/zero >&2 & head -c %d /dev/zero | tr '\\0' x; wait; exit 4", n, n))
	sum := func(b byte) string { return fmt.Sprintf("%x", sha256.Sum256(bytes.Repeat([]byte{b}, n))) }
	out, outTo := io.Pipe()
	errs, errTo := io.Pipe()
	var got [2]string
	var readers sync.WaitGroup
	for i, r := range []io.Reader{out, errs} {
		readers.Go(func() {
			h := sha256.New()
			time.Sleep(300 * time.Millisecond)
			io.Copy(h, r)
			got[i] = fmt.Sprintf("%x", h.Sum(nil))
		})
	}
	c.Stdout, c.Stderr = outTo, errTo
	p := d.start(c, nil)
	if r := p.wait(); r.code != 4 {
		t.Errorf("exit %d", r.code)
	}
	outTo.Close()
	errTo.Close()
	readers.Wait()
	if got[0] != sum('x') || got[1] != sum(0) {
		t.Errorf("stdout whole: %v, stderr whole: %v", got[0] == sum('x'), got[1] == sum(0))
	}
}

func TestDoorSignalledCommands(t *testing.T) {
	d := openDoor(t)
	for _, n := range []int{1, 2, 6, 9, 11, 13, 15} {
		d.run(d.by("box", "echo up; kill -"+strconv.Itoa(n)+" $$"), nil).is(t, "up\n", "", 128+n)
	}
	p := d.start(d.by("box", "echo up; exec sleep 1000"), nil)
	p.says("up\n")
	p.signal(syscall.SIGTERM)
	if r := p.wait(); r.code != 255 {
		t.Errorf("a client that is told to end: %+v", r)
	}
}

// A client that is killed has its command end, for those to whom sshd passes
// signals, and nobody else's.
func TestDoorKilledClient(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh")
	h, public := startOrdinaryHost(t)
	d := &doorway{h, filepath.Join(h.dir, "door")}
	d.hold(d.path)
	others := []*running{d.start(d.by("box", "echo up; exec cat"), blocked(t)), d.start(d.by("box", "echo up; sleep 3; exit 5"), nil)}
	for _, p := range others {
		p.says("up\n")
	}
	mark := filepath.Join(public, "mark")
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		p := d.start(d.by("box", "trap 'echo hup >"+mark+"; exit' HUP; echo $$; exec 2>/dev/null; while :; do sleep 0.05; done"), nil)
		p.says("\n")
		pid, _ := strconv.Atoi(strings.TrimSpace(p.out.String()))
		p.signal(s)
		p.wait()
		d.eventually("the command ends", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
		if got := maybe(mark); got != "hup\n" {
			t.Errorf("%v: the command's trap said %q", s, got)
		}
		os.Remove(mark)
	}
	if r := others[1].wait(); r.code != 5 {
		t.Errorf("another client: %+v", r)
	}
	if closed(others[0].done) {
		t.Errorf("another client ended: %+v", others[0].wait())
	}
	d.logins(1)
}

// A client that was stopped gets what it missed when it goes on, be its command
// over or not.
func TestDoorStoppedClient(t *testing.T) {
	d := openDoor(t)
	p := d.start(d.by("box", "echo up; sleep 1; echo end; echo err >&2; exit 7"), nil)
	p.says("up\n")
	p.signal(syscall.SIGSTOP)
	time.Sleep(2 * time.Second)
	for range 3 {
		d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	}
	p.signal(syscall.SIGCONT)
	p.wait().is(t, "up\nend\n", "err\n", 7)
}

// The flags of what the client passed are its other users', too.
func TestDoorLeavesFlags(t *testing.T) {
	d := openDoor(t)
	in, feed := pipe(t)
	sink, out := pipe(t)
	for _, args := range [][]string{{"box", "echo up; exec cat"}, {"-W", d.sshd.Addr, "box"}} {
		c := d.by(args...)
		c.Stdout = out
		p := d.start(c, in)
		b := make([]byte, 100)
		if n, err := sink.Read(b); n == 0 {
			t.Fatal(err)
		}
		if isNonblock(t, in) || isNonblock(t, out) {
			t.Errorf("%v: made non-blocking while it runs", args)
		}
		if args[0] == "box" {
			feed.Close()
		} else {
			p.signal(syscall.SIGTERM)
		}
		p.wait()
		if isNonblock(t, in) || isNonblock(t, out) {
			t.Errorf("%v: left non-blocking", args)
		}
	}
}

// A command that no server takes is refused for itself alone: nothing of it is
// sent, ssh does not go past muxd, and others go on.
func TestDoorCommandTooLong(t *testing.T) {
	d := openDoor(t)
	other := d.start(d.by("box", "echo up; exec cat"), blocked(t))
	other.says("up\n")
	args := []string{"box", "echo ran;"}
	for range 3 {
		args = append(args, strings.Repeat(": ", 50<<10))
	}
	r := d.run(d.by(args...), nil)
	if r.code != 255 || r.out != "" || !strings.Contains(r.err, "muxd: ") {
		t.Errorf("%.300q, %.300q, exit %d", r.out, r.err, r.code)
	}
	if closed(other.done) {
		t.Errorf("another client ended: %+v", other.wait())
	}
	d.logins(1)
}
