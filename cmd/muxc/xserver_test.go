package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"muxd/internal/sshtest"
	"muxd/internal/x11"
)

// realCookie is what a test's X server lets in, and its xauth knows.
const realCookie = "00112233445566778899aabbccddeeff"

// xserver is as much of an X server as forwarding can tell: it looks at the
// cookie, lets a client in or says why not, and sends back what comes then.
type xserver struct {
	Display string // for DISPLAY: the path of its socket
	t       testing.TB

	mu    sync.Mutex
	shown []string // guarded by mu; "PROTO HEX" of each connection
}

// startX starts one on a socket of its own.
func startX(t testing.TB) *xserver {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	x := &xserver{t: t, Display: filepath.Join(dir, "x:0")}
	serveUnix(t, x.Display, x.serve)
	return x
}

func (x *xserver) serve(c stream) error {
	s, err := x11.ReadSetup(c)
	if err != nil {
		return err
	}
	shown := s.Proto + " " + hex.EncodeToString(s.Data)
	x.mu.Lock()
	x.shown = append(x.shown, shown)
	x.mu.Unlock()
	if shown != "MIT-MAGIC-COOKIE-1 "+realCookie {
		_, err := c.Write(s.Refusal("Invalid MIT-MAGIC-COOKIE-1 key"))
		return err
	}
	// Success, with no additional data; the test's clients read no more than the
	// lengths say. The order is the client's.
	ok := s.Refusal("")
	ok[0] = 1
	if _, err := c.Write(ok); err != nil {
		return err
	}
	return parrot(c)
}

// saw returns what each connection showed so far.
func (x *xserver) saw() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.shown)
}

// fakeXauth is a program that plays xauth and its record: what it was called
// with, one line a call.
type fakeXauth struct{ path, calls string }

// xauth makes one that knows the real cookie, of every display, or nothing at
// all. One that cannot generate is as with an X server that lacks the SECURITY
// extension.
func (h *host) xauth(knows, generates bool) *fakeXauth {
	h.t.Helper()
	x := &fakeXauth{filepath.Join(h.dir, "xauth"), filepath.Join(h.dir, "xauth.calls")}
	list, generate := "exit 1", "exit 1"
	if knows {
		list = `echo "box/unix:0  MIT-MAGIC-COOKIE-1  ` + realCookie + `"`
	}
	if generates {
		generate = `: >"$file"`
	}
	script := fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%s\nif [ \"$1\" = -f ]; then file=$2; shift 2; fi\n"+
		"case $1 in\nlist) %s ;;\ngenerate) %s ;;\n*) exit 2 ;;\nesac\n", x.calls, list, generate)
	if err := os.WriteFile(x.path, []byte(script), 0o755); err != nil {
		h.t.Fatal(err)
	}
	return x
}

// called returns the calls so far.
func (x *fakeXauth) called() []string { return strings.Split(strings.TrimSpace(maybe(x.calls)), "\n") }

func TestFakeXServer(t *testing.T) {
	t.Parallel()
	x := startX(t)
	cookie, _ := hex.DecodeString(realCookie)
	for _, order := range []interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}{binary.BigEndian, binary.LittleEndian} {
		c := mustDial(t, x.Display)
		c.Write(append(sshtest.X11Setup(order, "MIT-MAGIC-COOKIE-1", cookie), "hello"...))
		if got := sshtest.X11Answer(c, order); got != "success" {
			t.Error(got)
		}
		c.CloseWrite()
		var rest bytes.Buffer
		if rest.ReadFrom(c); rest.String() != "hello" {
			t.Errorf("%q", &rest)
		}
		c = mustDial(t, x.Display)
		c.Write(sshtest.X11Setup(order, "MIT-MAGIC-COOKIE-1", cookie[:15]))
		if got := sshtest.X11Answer(c, order); !strings.HasPrefix(got, "failed Invalid") {
			t.Error(got)
		}
	}
	if saw := x.saw(); len(saw) != 4 || saw[0] != "MIT-MAGIC-COOKIE-1 "+realCookie || saw[1] == saw[0] {
		t.Errorf("%q", saw)
	}
}

func TestFakeXauth(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	x := h.xauth(true, false)
	h.run(h.command(x.path, "list", ":0"), nil).is(t, "box/unix:0  MIT-MAGIC-COOKIE-1  "+realCookie+"\n", "", 0)
	h.run(h.command(x.path, "-f", h.dir+"/f", "generate", ":0"), nil).is(t, "", "", 1)
	if got := x.called(); !slices.Equal(got, []string{"list :0", "-f " + h.dir + "/f generate :0"}) {
		t.Errorf("%q", got)
	}
	h.xauth(false, true)
	h.run(h.command(x.path, "list", ":0"), nil).is(t, "", "", 1)
	h.run(h.command(x.path, "-f", h.dir+"/f", "generate", ":0"), nil).is(t, "", "", 0)
	if read(t, h.dir+"/f") != "" {
		t.Error("no file")
	}
}
