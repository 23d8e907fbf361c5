package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// What is at the two ends of a forward in these tests: servers that know to the
// byte what came, and clients that know what should come back. Each direction is
// ended by itself, and the other one must still work.

// far is a listener of this test, at the far end of a forward.
type far struct {
	network, addr string
	port          int // of TCP
	ended         chan error
}

// serveTCP and serveUnix call serve for each connection, and close it then; how
// it ended can be received from ended, by who cares.
func serveTCP(t testing.TB, serve func(stream) error) *far {
	t.Helper()
	return serveOn(t, "tcp", "127.0.0.1:0", serve)
}

func serveUnix(t testing.TB, path string, serve func(stream) error) *far {
	t.Helper()
	return serveOn(t, "unix", path, serve)
}

func serveOn(t testing.TB, network, addr string, serve func(stream) error) *far {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	f := &far{network: network, addr: ln.Addr().String(), ended: make(chan error, 1024)}
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		f.port = a.Port
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(long))
				select {
				case f.ended <- serve(conn.(stream)):
				default: // nobody counts
				}
			}()
		}
	}()
	return f
}

// stream is a connection that can end one direction: of TCP, or a Unix socket.
type stream interface {
	net.Conn
	CloseWrite() error
}

// parrot sends everything back, and ends when its input does.
func parrot(c stream) error {
	_, err := io.Copy(c, c)
	return errors.Join(err, c.CloseWrite())
}

// digest reads to the end, and only then answers with the SHA-256 of what came,
// in hexadecimal.
func digest(c stream) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, c); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c, "%x", sum.Sum(nil))
	return errors.Join(err, c.CloseWrite())
}

// speaker is the reverse: it sends n bytes of a seed, ends its direction, and
// only then reads the digest that the other end answers with.
func speaker(seed uint64, n int64) func(stream) error {
	return func(c stream) error { return upload(c, seed, n) }
}

// upload sends n bytes, ends this direction, and wants their digest back and
// nothing more.
func upload(c stream, seed uint64, n int64) error {
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(c, sum), noise(seed, n)); err != nil {
		return fmt.Errorf("send %d bytes: %w", n, err)
	}
	if err := c.CloseWrite(); err != nil {
		return fmt.Errorf("end this direction: %w", err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		return fmt.Errorf("read the digest: %w", err)
	}
	if want := hex.EncodeToString(sum.Sum(nil)); string(got) != want {
		return fmt.Errorf("%d bytes have digest %.200q at the other end, want %s", n, got, want)
	}
	return nil
}

// noise is n bytes that are the same for the same seed, and that no compression
// and no repetition makes look right.
func noise(seed uint64, n int64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return io.LimitReader(rand.NewChaCha8(key), n)
}

// dial connects to an address, of a port on this machine or a path, within the
// tests' patience.
func dial(addr string) (stream, error) {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	c, err := net.DialTimeout(network, addr, long)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(long))
	return c.(stream), nil
}

// uploads fails the test unless n bytes reach a digest behind addr, and its
// answer comes back.
func uploads(t testing.TB, addr string, seed uint64, n int64) {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	if err := upload(c, seed, n); err != nil {
		t.Errorf("through %s: %v", addr, err)
	}
}

// downloads fails the test unless a speaker behind addr says what the digest of
// its bytes is, and takes our answer after its own end.
func downloads(t testing.TB, addr string, from *far) {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	if err := digest(c); err != nil {
		t.Errorf("through %s: %v", addr, err)
		return
	}
	select {
	case err := <-from.ended:
		if err != nil {
			t.Errorf("through %s: %v", addr, err)
		}
	case <-time.After(long):
		t.Errorf("through %s: the other end waits for our end", addr)
	}
}

// parrots fails the test unless both directions of a connection are open at the
// same time.
func parrots(t testing.TB, addr string, rounds int) {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	for i := range rounds {
		out := []byte(fmt.Sprintf("round %d\n", i))
		in := make([]byte, len(out))
		if _, err = c.Write(out); err == nil {
			_, err = io.ReadFull(c, in)
		}
		if err != nil || !bytes.Equal(in, out) {
			t.Errorf("through %s: %q, %v", addr, in, err)
			return
		}
	}
	c.CloseWrite()
	if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
		t.Errorf("through %s: %q, %v after the end", addr, rest, err)
	}
}

// cutOff returns how a connection ended that should have been reset: nil for an
// orderly end, which would tell the program that all had been said.
func cutOff(c stream) error {
	_, err := io.Copy(io.Discard, c)
	return err
}

// web serves one page with the text, for curl.
func web(t testing.TB, text string) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// curl runs curl, which says nothing but the page and an error. No proxy of the
// tester's environment is in its way.
func (h *host) curl(args ...string) result {
	h.t.Helper()
	sshtest.Require(h.t, "curl")
	return h.run(h.command("curl", append([]string{"-q", "-sS", "--noproxy", "", "--max-time", "20"}, args...)...), nil)
}

func freePort(t testing.TB) int { return sshtest.FreePort(t) }

func freePorts(t testing.TB, n int) int { return sshtest.FreePorts(t, n) }

// TestStreams has the two ends meet without a forward between, and then with
// faults that they must see.
func TestStreams(t *testing.T) {
	t.Parallel()
	sizes := []int64{0, 1, 32<<10 - 1, 32 << 10, 3<<20 + 5}
	unix := filepath.Join(t.TempDir(), "s")
	for _, f := range []*far{serveTCP(t, digest), serveUnix(t, unix, digest)} {
		for _, n := range sizes {
			uploads(t, f.addr, 7, n)
			if err := <-f.ended; err != nil {
				t.Error(err)
			}
		}
	}
	for _, n := range sizes {
		f := serveTCP(t, speaker(9, n))
		downloads(t, f.addr, f)
	}
	parrots(t, serveTCP(t, parrot).addr, 3)

	faulty := func(what string, serve func(stream) error, client func(stream) error) {
		t.Helper()
		c, err := dial(serveTCP(t, serve).addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if client(c) == nil {
			t.Errorf("not seen: %s", what)
		}
	}
	sends := func(c stream) error { return upload(c, 7, 1000) }
	faulty("a byte less", func(c stream) error { return digest(shorter{c}) }, sends)
	faulty("an answer with more behind it", func(c stream) error { return errors.Join(digest(open{c}), talk(c, "!")) }, sends)
	faulty("no answer", func(c stream) error { io.Copy(io.Discard, c); return nil }, sends)
	reset := func(c stream) error { c.Read(make([]byte, 1)); return c.(*net.TCPConn).SetLinger(0) }
	faulty("a reset", reset, func(c stream) error { c.Write([]byte("x")); return cutOff(c) })
}

func mustDial(t testing.TB, addr string) stream {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// shorter loses the last byte of each read.
type shorter struct{ stream }

func (s shorter) Read(p []byte) (int, error) {
	n, err := s.stream.Read(p)
	return max(0, n-1), err
}

// open does not end its direction when told to.
type open struct{ stream }

func (o open) CloseWrite() error { return nil }

func talk(c stream, text string) error {
	_, err := io.WriteString(c, text)
	return err
}

func TestCurlRunner(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.curl("http://"+web(t, "a page")+"/").is(t, "a page", "", 0)
	r := h.curl(fmt.Sprintf("http://127.0.0.1:%d/", freePort(t)))
	if r.code != 7 || r.out != "" {
		t.Errorf("%+v", r)
	}
}

// TestStreamsThroughSSH has the same clients and servers meet through the
// forwards of the ssh that is installed: what is true there must be of muxc.
func TestStreamsThroughSSH(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh", "curl")
	h := startHost(t)
	up, down, page := serveTCP(t, digest), serveTCP(t, speaker(3, 1<<20)), web(t, "through")
	here, socket, socks := freePort(t), filepath.Join(h.dir, "fwd"), freePort(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := exec.CommandContext(ctx, "ssh", "-F", h.cfg, "-N", "-L", fmt.Sprintf("%d:%s", here, up.addr), "-L", socket+":"+down.addr,
		"-D", fmt.Sprint(socks), "-o", "ExitOnForwardFailure=yes", "box")
	c.Env, c.Dir = h.env, h.dir
	h.start(c, nil)
	h.eventually("ssh listens", func() bool { x, err := net.Dial("unix", socket); closeIf(x, err); return err == nil })
	<-down.ended // of that look
	uploads(t, fmt.Sprintf("127.0.0.1:%d", here), 4, 1<<20)
	downloads(t, socket, down)
	for _, how := range []string{"--socks4", "--socks4a", "--socks5", "--socks5-hostname"} {
		h.curl(how, fmt.Sprintf("127.0.0.1:%d", socks), "http://"+page+"/").is(t, "through", "", 0)
	}
}

func closeIf(c io.Closer, err error) {
	if err == nil {
		c.Close()
	}
}
