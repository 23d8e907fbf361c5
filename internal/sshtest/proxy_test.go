package sshtest

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echoServer sends back what it gets, on loopback, until the test ends.
func echoServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", loopback(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	return ln.Addr().String()
}

func dialProxy(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute)) // instead of a hang
	return c.(*net.TCPConn)
}

func echoed(t *testing.T, c net.Conn, s string) {
	t.Helper()
	mustWrite(t, c, s)
	mustRead(t, c, s)
}

// silent says that nothing can be read for a while.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	wantReadError(t, c, os.ErrDeadlineExceeded)
	c.SetReadDeadline(time.Now().Add(time.Minute))
}

func TestProxyPassesBytesAndTheirEnd(t *testing.T) {
	p := NewProxy(t, echoServer(t))
	c := dialProxy(t, p)
	data := strings.Repeat("0123456789", 100_000)
	go func() { io.WriteString(c, data); c.CloseWrite() }()
	if got, err := io.ReadAll(c); string(got) != data || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	soon(t, "the proxy forgets the connection", func() bool { return p.Conns() == 0 })
}

func TestProxyCutResetsAndCloseAllEnds(t *testing.T) {
	p := NewProxy(t, echoServer(t))
	a, b := dialProxy(t, p), dialProxy(t, p)
	echoed(t, a, "x")
	echoed(t, b, "x")
	if n := p.Conns(); n != 2 {
		t.Errorf("%d connections", n)
	}
	p.Cut()
	wantReadError(t, a, syscall.ECONNRESET)
	wantReadError(t, b, syscall.ECONNRESET)
	c := dialProxy(t, p)
	echoed(t, c, "x")
	p.CloseAll()
	wantReadError(t, c, io.EOF)
	if n := p.Conns(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestProxyStallsEachDirection(t *testing.T) {
	for _, d := range []Direction{Up, Down, Both} {
		p := NewProxy(t, echoServer(t))
		c := dialProxy(t, p)
		echoed(t, c, "before")
		p.Stall(d)
		mustWrite(t, c, "held")
		silent(t, c)
		late := dialProxy(t, p)
		mustWrite(t, late, "late")
		silent(t, late)
		p.Resume(d)
		mustRead(t, c, "held")
		mustRead(t, late, "late")
		p.Stall(d)
		p.Cut() // frees what waits
		wantReadError(t, c, syscall.ECONNRESET)
	}
}

func TestProxyStallHoldsTheEndToo(t *testing.T) {
	p := NewProxy(t, echoServer(t))
	c := dialProxy(t, p)
	echoed(t, c, "x")
	p.Stall(Up)
	c.CloseWrite()
	silent(t, c)
	p.Resume(Up)
	wantReadError(t, c, io.EOF)
}

func TestProxyPassesAReset(t *testing.T) {
	ln, err := net.Listen("tcp", loopback(0))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := NewProxy(t, ln.Addr().String())
	c := dialProxy(t, p)
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	mustWrite(t, c, "x")
	mustRead(t, far, "x")
	reset(c)
	wantReadError(t, far, syscall.ECONNRESET)
}

func TestProxyCutAfterCountsBytes(t *testing.T) {
	for _, d := range []Direction{Up, Down} {
		p := NewProxy(t, echoServer(t))
		c := dialProxy(t, p)
		echoed(t, c, "12345")
		p.CutAfter(d, 3)
		mustWrite(t, c, "abcdef")
		got, err := io.ReadAll(c)
		if len(got) > 3 || !strings.HasPrefix("abc", string(got)) || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("direction %d: %q, %v", d, got, err)
		}
		if d == Down && len(got) != 3 {
			t.Errorf("only %q arrived", got)
		}
		echoed(t, dialProxy(t, p), "once only")
		p.CutAfter(d, 0)
		soon(t, "the cut", func() bool { return p.Conns() == 0 })
	}
}

func TestProxyDelayIsLatencyAndNotRate(t *testing.T) {
	p := NewProxy(t, echoServer(t))
	c := dialProxy(t, p)
	const delay = 50 * time.Millisecond
	p.Delay(delay)
	start := time.Now()
	echoed(t, c, "x")
	if d := time.Since(start); d < 2*delay {
		t.Errorf("round trip %v", d)
	}
	// Twenty chunks one after the other would take a second each way.
	start = time.Now()
	data := strings.Repeat("x", 20*chunkSize)
	go io.WriteString(c, data)
	mustRead(t, c, data)
	if d := time.Since(start); d < 2*delay || d > 20*delay {
		t.Errorf("20 chunks took %v", d)
	}
}

func TestProxyRefusesAndRetargets(t *testing.T) {
	p := NewProxy(t, echoServer(t))
	c := dialProxy(t, p)
	echoed(t, c, "x")
	p.Refuse(true)
	p.Refuse(true)
	if _, err := net.Dial("tcp", p.Addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: %v", err)
	}
	echoed(t, c, "untouched")
	p.Refuse(false)
	p.Refuse(false)
	echoed(t, dialProxy(t, p), "again")
	p.Retarget(loopback(1)) // nobody is there
	// The reset may come before Dial has looked at its socket, or after.
	c2, err := net.Dial("tcp", p.Addr)
	if err == nil {
		defer c2.Close()
		_, err = c2.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("no target: %v", err)
	}
}
