package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// x11Host is a host whose sshd forwards X11, with displays that no other test
// has, and an xauth at the far end whose input is the file returned.
func x11Host(t *testing.T, offset int) (h *host, farCookies string) {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	farCookies = filepath.Join(dir, "cookies")
	program := write(t, filepath.Join(dir, "xauth"), "#!/bin/sh\nexec cat >>"+farCookies+"\n")
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	return startHost(t, "X11Forwarding yes", "X11UseLocalhost yes", "X11DisplayOffset "+strconv.Itoa(offset), "XAuthLocation "+program), farCookies
}

// farDisplay is the display of a session that has printed DISPLAY: where a program
// at the far end connects to.
func (r *running) farDisplay() (addr, display string) {
	r.h.t.Helper()
	r.says("\n")
	m := regexp.MustCompile(`\Alocalhost:(\d+)\.(\d+)\n`).FindStringSubmatch(r.out.String())
	if m == nil {
		r.h.t.Fatalf("DISPLAY %q, stderr %q", r.out.String(), r.err.String())
	}
	n, _ := strconv.Atoi(m[1])
	return fmt.Sprintf("127.0.0.1:%d", 6000+n), m[1]
}

// cookieAt is the cookie that the far end's xauth was given last for a display.
func cookieAt(t *testing.T, file, display string) string {
	t.Helper()
	m := regexp.MustCompile(`add \S*:`+display+`\.\d+ MIT-MAGIC-COOKIE-1 ([0-9a-f]{32})\n`).FindAllStringSubmatch(maybe(file), -1)
	if m == nil {
		t.Fatalf("no cookie for display %s: %q", display, maybe(file))
	}
	return m[len(m)-1][1]
}

// xprogram connects as an X client with a cookie, says something, and returns how
// it was received and what came back.
func xprogram(t *testing.T, addr, cookie string) (answer, back string) {
	t.Helper()
	c := mustDial(t, addr)
	defer c.Close()
	b, _ := hex.DecodeString(cookie)
	c.Write(append(sshtest.X11Setup(binary.LittleEndian, "MIT-MAGIC-COOKIE-1", b), "draw"...))
	if answer = sshtest.X11Answer(c, binary.LittleEndian); answer == "success" {
		b := make([]byte, 4)
		n, _ := c.Read(b)
		back = string(b[:n])
	}
	return answer, back
}

// TestX11Forwarding: the far end has a display and a cookie that is not the real
// one, programs there come to this end's with the real one, and others to nobody's.
func TestX11Forwarding(t *testing.T) {
	h, cookies := x11Host(t, 400)
	x, xauth := startX(t), h.xauth(true, true)
	h.setenv("DISPLAY", x.Display)
	located := "XAuthLocation=" + xauth.path
	h.run(h.muxc("box", `echo "[$DISPLAY]"`), nil).is(t, "[]\n", "", 0)
	h.run(h.muxc("-Y", "-x", "-o", located, "box", `echo "[$DISPLAY]"`), nil).is(t, "[]\n", "", 0)
	for i, flag := range []string{"-Y", "-X"} {
		in, end := pipe(t)
		p := h.start(h.muxc(flag, "-o", located, "box", "echo $DISPLAY; read line"), in)
		addr, display := p.farDisplay()
		fake := cookieAt(t, cookies, display)
		if fake == realCookie {
			t.Fatal("the real cookie went to the far end")
		}
		if answer, back := xprogram(t, addr, fake); answer != "success" || back != "draw" {
			t.Errorf("%s: %q, %q; stderr %q", flag, answer, back, p.err.String())
		}
		for _, wrong := range []string{realCookie, strings.Repeat("0", 32)} {
			if answer, _ := xprogram(t, addr, wrong); !strings.HasPrefix(answer, "failed muxd: no session lends a display for this cookie") {
				t.Errorf("%s with another cookie: %q", flag, answer)
			}
		}
		if saw := x.saw(); len(saw) != i+1 || saw[i] != "MIT-MAGIC-COOKIE-1 "+realCookie {
			t.Errorf("%s: the display saw %q", flag, saw)
		}
		end.Close()
		p.wait()
	}
	generated := slices.ContainsFunc(xauth.called(), func(call string) bool {
		return strings.Contains(call, " generate "+x.Display+" MIT-MAGIC-COOKIE-1 untrusted timeout 1260")
	})
	if !generated {
		t.Errorf("xauth was called with %q", xauth.called())
	}
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestX11OfTwoSessions: two clients at two displays, one connection.
func TestX11OfTwoSessions(t *testing.T) {
	h, cookies := x11Host(t, 600)
	xauth := h.xauth(true, true)
	var xs []*xserver
	var addrs, fakes []string
	for range 2 {
		x := startX(t)
		h.setenv("DISPLAY", x.Display)
		in, _ := pipe(t)
		p := h.start(h.muxc("-Y", "-o", "XAuthLocation="+xauth.path, "box", "echo $DISPLAY; read line"), in)
		addr, display := p.farDisplay()
		xs, addrs, fakes = append(xs, x), append(addrs, addr), append(fakes, cookieAt(t, cookies, display))
	}
	for i := range xs {
		if answer, back := xprogram(t, addrs[i], fakes[i]); answer != "success" || back != "draw" {
			t.Errorf("session %d: %q, %q", i, answer, back)
		}
		if n := len(xs[i].saw()); n != 1 {
			t.Errorf("display %d saw %d", i, n)
		}
	}
	// The cookie says whose it is, and not where it came to.
	if answer, _ := xprogram(t, addrs[0], fakes[1]); answer != "success" || len(xs[1].saw()) != 2 || len(xs[0].saw()) != 1 {
		t.Errorf("the second one's cookie: %q; %q, %q", answer, xs[0].saw(), xs[1].saw())
	}
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestX11ThatIsNotToBeHad: a line says why, and the command runs.
func TestX11ThatIsNotToBeHad(t *testing.T) {
	t.Parallel()
	h := startHost(t, "X11Forwarding no")
	located := "XAuthLocation=" + h.xauth(true, false).path
	h.setenv("DISPLAY", startX(t).Display)
	h.run(h.muxc("-Y", "-o", located, "box", "echo runs"), nil).is(t, "runs\n", "X11 forwarding request failed\n", 0)
	h.run(h.muxc("-q", "-Y", "-o", located, "box", "echo runs"), nil).is(t, "runs\n", "", 0)
	untrusted := "Warning: X11 forwarding setup failed: untrusted X11 forwarding setup failed: xauth key data not generated"
	if r := h.run(h.muxc("-X", "-o", located, "box", "echo runs"), nil); r.out != "runs\n" || r.code != 0 || !strings.HasPrefix(r.err, untrusted) || strings.Count(r.err, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	h.setenv("DISPLAY", "")
	h.run(h.muxc("-Y", "-o", located, "box", "echo runs"), nil).is(t, "runs\n", "", 0)
}
