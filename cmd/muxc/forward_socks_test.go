package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// socksWays are curl's four: by an address, or by a name that the far side looks
// up.
var socksWays = []string{"--socks4", "--socks4a", "--socks5", "--socks5-hostname"}

func TestSocks(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "curl")
	h := startHost(t)
	page := web(t, "a page")
	_, webPort, _ := net.SplitHostPort(page)
	here, there := freePort(t), freePort(t)
	h.stand("-D", at("%d", here), "-R", at("%d", there))
	for _, port := range []int{here, there} {
		for _, how := range socksWays {
			h.curl(how, loopback(port), "http://"+page+"/").is(t, "a page", "", 0)
			h.curl(how, loopback(port), "http://localhost:"+webPort+"/").is(t, "a page", "", 0)
			// One that nobody answers: with the reason that there was, and at once.
			r := h.curl(how, loopback(port), fmt.Sprintf("http://127.0.0.1:%d/", freePort(t)))
			if r.code != 97 || r.out != "" || r.took > soon {
				t.Errorf("%s: %+v", how, r)
			}
			if want := "(5)"; strings.HasPrefix(how, "--socks5") && !strings.Contains(r.err, want) {
				t.Errorf("%s: %q does not say %s, connection refused", how, r.err, want)
			}
		}
		h.curl("--socks5", loopback(port), "http://"+page+"/").is(t, "a page", "", 0)
	}
	// A name that nobody knows is looked up on the far side, which says so.
	for _, how := range []string{"--socks4a", "--socks5-hostname"} {
		if r := h.curl(how, loopback(here), "http://nosuch.invalid/"); r.code != 97 || r.out != "" {
			t.Errorf("%s: %+v", how, r)
		}
	}
	if st := h.forward(at("-D localhost:%d", here)); st.State != "active" || !strings.HasPrefix(st.LastError, "connect to nosuch.invalid:80: ") {
		t.Errorf("%+v", st)
	}
}

// TestSocksGarbage: a client that says nothing that makes sense, nothing at all,
// or what it says one byte a second, is its own trouble.
func TestSocksGarbage(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "curl")
	h := startHost(t)
	page, f, port, other := web(t, "a page"), serveTCP(t, parrot), freePort(t), freePort(t)
	h.stand("-D", at("%d", port), "-L", at("%d:127.0.0.1:%d", other, f.port))
	open := mustDial(t, loopback(other))

	var silent []stream
	for range 20 {
		silent = append(silent, mustDial(t, loopback(port))) // says nothing while the others do
	}
	slow := mustDial(t, loopback(port))
	slowly := make(chan string, 1)
	host, webPort, _ := net.SplitHostPort(page)
	go func() {
		text := append([]byte{4, 1}, byte(number(webPort)>>8), byte(number(webPort)))
		text = append(append(text, net.ParseIP(host).To4()...), 0)
		for _, b := range text {
			time.Sleep(time.Second)
			slow.Write([]byte{b})
		}
		io.WriteString(slow, "GET / HTTP/1.0\r\n\r\n")
		got, _ := io.ReadAll(slow)
		slowly <- string(got)
	}()
	for _, garbage := range []string{"GET http://x/ HTTP/1.1\r\n\r\n", "\x00", "\x04\x09\x00\x50\x7f\x00\x00\x01\x00", "\x04\x01",
		"\x05\x00", "\x05\x01\x02", "\x05\x01\x00\x05\x02\x00\x01", "\x05\x01\x00\x05\x01\x00\x09abcdef", "\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50",
		strings.Repeat("\xff", 1<<16), "\x04\x01\x00\x50\x00\x00\x00\x01\x00" + strings.Repeat("a", 1<<12)} {
		c := mustDial(t, loopback(port))
		io.WriteString(c, garbage)
		c.CloseWrite()
		if b, _ := readAll(c); len(b) > 16 {
			t.Errorf("%.20q: it was answered %q", garbage, b)
		}
		if r := h.curl("--socks5", loopback(port), "http://"+page+"/"); r.out != "a page" || r.took > soon {
			t.Errorf("beside %.20q: %+v", garbage, r)
		}
	}
	if st := h.forward(at("-D localhost:%d", port)); st.State != "active" {
		t.Errorf("%+v", st)
	}
	if _, err := open.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	open.CloseWrite()
	if b, err := readAll(open); b != "x" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	h.echo()
	if got := <-slowly; !strings.HasPrefix(got, "\x00\x5a") || !strings.HasSuffix(got, "a page") {
		t.Errorf("the slow one was answered %q", got)
	}
	slow.Close()
	for _, c := range silent {
		c.Close()
	}
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
	h.eventually("none of them is left", func() bool {
		for _, f := range h.forwards() {
			if f.Open != 0 {
				return false
			}
		}
		return true
	})
}

func number(text string) (n int) {
	fmt.Sscan(text, &n)
	return n
}
