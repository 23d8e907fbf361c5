package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muxd/control"
	"muxd/socket"
)

// otherVersion is a protocol that nobody speaks yet.
const otherVersion = control.Version + 41

// playOtherMuxd is a muxd of that version, in a process of its own, because
// "muxd stop" ends it by a signal.
func playOtherMuxd(path string) {
	l, err := net.Listen("unix", path)
	if err != nil {
		fatal(err)
	}
	fmt.Println("listening")
	for {
		c, err := l.Accept()
		if err != nil {
			fatal(err)
		}
		go func() {
			c.Read(make([]byte, 16))
			c.Write(hello(otherVersion, control.WrongVersion, "9.9"))
			io.Copy(io.Discard, c)
			c.Close()
		}()
	}
}

// hello is a server's preface, see PROTOCOL.md.
func hello(version uint16, w control.Welcome, text string) []byte {
	b := binary.BigEndian.AppendUint16([]byte("MUXD"), version)
	b = binary.BigEndian.AppendUint16(b, uint16(w))
	b = binary.BigEndian.AppendUint32(b, uint32(os.Getpid()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	return append(b, text...)
}

func TestMuxdOfAnotherVersion(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := h.command(self)
	c.Env = append(c.Env, "MUX_TEST_PLAY_MUXD="+h.socket())
	other := h.start(c, nil)
	other.says("listening")
	pid := other.cmd.Process.Pid
	text := fmt.Sprintf(`the running muxd \(pid %d, 9\.9\) speaks protocol %d and this program %d: restart it with "muxd stop --drain", which cuts no session`,
		pid, otherVersion, control.Version)
	h.run(h.muxc("box", "true"), nil).fails(t, "box: "+text)
	h.run(h.muxc("-O", "check", "box"), nil).fails(t, "box: "+text)
	if r := h.run(h.command("muxd", "status"), nil); r.code != 1 || r.out != "" || !strings.Contains(r.err, `restart it with "muxd stop --drain"`) {
		t.Errorf("status: %+v", r)
	}
	// The cure works.
	if r := h.run(h.command("muxd", "stop"), nil); r.code != 0 || r.err != "" || !strings.HasPrefix(r.out, fmt.Sprintf("muxd (pid %d) was told to end", pid)) {
		t.Errorf("stop: %+v", r)
	}
	other.wait()
	h.echo()
}

// dial connects to the running muxd as no muxc would.
func (h *host) dial() net.Conn {
	h.t.Helper()
	c, err := net.Dial("unix", h.socket())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(long))
	return c
}

func preface(version uint16, flags control.Flag, length uint32) []byte {
	b := binary.BigEndian.AppendUint16([]byte("MUXD"), version)
	b = binary.BigEndian.AppendUint16(b, uint16(flags))
	b = append(b, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, length)
}

func TestMuxcOfAnotherVersion(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	c := h.dial()
	c.Write(append(preface(control.Version-1, control.FlagOne, 4), "what"...)) // for a later one it would make way
	b, err := io.ReadAll(c)                                                    // the end may be a reset: muxd did not read all
	if len(b) < 16 || string(b[:4]) != "MUXD" ||
		binary.BigEndian.Uint16(b[4:]) != control.Version || control.Welcome(binary.BigEndian.Uint16(b[6:])) != control.WrongVersion ||
		int(binary.BigEndian.Uint32(b[8:])) != h.pid() {
		t.Errorf("%q, %v", b, err)
	}
	h.echo()
}

// TestGarbageOnTheSocket: whatever comes, muxd closes that connection and
// serves the others.
func TestGarbageOnTheSocket(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	for name, b := range map[string][]byte{
		"text":                 []byte("GET / HTTP/1.1\r\n\r\n"),
		"zeros":                make([]byte, 1<<16),
		"a request of 4 GiB":   append(preface(control.Version, control.FlagOne, 1<<32-1), make([]byte, 1<<16)...),
		"a request of nothing": preface(control.Version, control.FlagOne, 0),
		"an unknown request":   append(preface(control.Version, control.FlagOne, 1), 0xff),
		"unknown flags":        preface(control.Version, 0xffff, 1),
	} {
		c := h.dial()
		c.Write(b) // may fail when muxd is done with it before the end
		began := time.Now()
		io.Copy(io.Discard, c)
		if d := time.Since(began); d > soon {
			t.Errorf("%s: closed only after %v", name, d)
		}
	}
	h.echo()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestFrameOfFourGigabytes is sent in the middle of a session, which ends.
func TestFrameOfFourGigabytes(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	c, err := socket.Dial(socket.At(filepath.Join(h.dir, "ctl")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := control.Run(c, &control.Invocation{Args: []string{"-F", h.cfg, "box", "cat"}, Dir: "/"}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<10)
	c.SetDeadline(time.Now().Add(long))
	if _, err := c.Read(b); err != nil { // the hello
		t.Fatal(err)
	}
	c.Write([]byte{0xff, 0xff, 0xff, 0xff, 2})
	for err == nil {
		_, err = c.Read(b)
	}
	if os.IsTimeout(err) {
		t.Error("muxd keeps the connection")
	}
	h.eventually("the log tells of it", func() bool {
		return strings.Contains(h.log(), `msg="client cut"`) && strings.Contains(h.log(), "malformed frame of 4294967295 bytes")
	})
	h.echo()
}
