package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"muxd/internal/sshtest"
)

// delayed is a connection through a proxy to a server in the same bubble.
func delayed(rtt time.Duration, serve func(net.Conn)) net.Conn {
	client, near := sshtest.Pipe()
	p := &delayProxy{half: rtt / 2}
	go p.carry(near, func() (net.Conn, error) {
		far, server := sshtest.Pipe()
		go func() { defer server.Close(); serve(server) }()
		return far, nil
	})
	return client
}

// What a client gets is as late as it would be at that distance: a greeting two
// round trips after the connect, one of which is the connect's own, and an answer
// one round trip after the question.
func TestDelay(t *testing.T) {
	for _, rtt := range distances {
		synctest.Test(t, func(t *testing.T) {
			defer time.Sleep(time.Minute) // until all that it set off has ended
			began := time.Now()
			c := delayed(rtt, func(c net.Conn) {
				if got := time.Since(began); got != rtt*3/2 {
					t.Errorf("%v: the server is connected after %v", rtt, got)
				}
				c.Write([]byte("hello"))
				io.Copy(c, c)
			})
			defer c.Close()
			b := make([]byte, 5)
			if _, err := io.ReadFull(c, b); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(began); got != 2*rtt {
				t.Errorf("%v: the greeting comes after %v", rtt, got)
			}
			for range 3 {
				asked := time.Now()
				c.Write([]byte("x"))
				io.ReadFull(c, b[:1])
				if got := time.Since(asked); got != rtt {
					t.Errorf("%v: an answer comes after %v", rtt, got)
				}
			}
		})
	}
}

// What is sent in one moment arrives in one moment, however much it is: a rate
// has no bound.
func TestDelayDoesNotLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Minute)
		const size = 64 << 20
		rtt := distances[1]
		c := delayed(rtt, func(c net.Conn) { c.Write(make([]byte, size)) })
		defer c.Close()
		began := time.Now()
		n, err := io.Copy(io.Discard, c)
		if took := time.Since(began); err != nil || n != size || took > 3*rtt {
			t.Errorf("%d bytes in %v, %v", n, took, err)
		}
	})
}

// Every byte arrives, in its order, in both directions at once; and an end in one
// direction leaves the other open.
func TestDelayKeepsBytes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				all, _ := io.ReadAll(c) // the answer begins at the question's end
				c.Write(all)
			}()
		}
	}()
	p, err := startDelay(ln.Addr().String(), 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	rng := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{0, 1, delayRead - 1, delayRead + 1, 8 << 20} {
		sent := make([]byte, size)
		rng.Read(sent)
		began := time.Now() // and not later: the proxy's clock runs from its accept on
		c, err := net.Dial("tcp", p.ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for left := sent; len(left) > 0; {
				n, _ := c.Write(left[:min(len(left), 1+rand.IntN(100_000))])
				left = left[n:]
			}
			c.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(c)
		c.Close()
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
		}
		if took := time.Since(began); took < 20*time.Millisecond {
			t.Errorf("%d bytes took %v, less than the connect and one round trip", size, took)
		}
	}
}

// A server that is not there ends the client's connection, and a client that goes
// ends the server's.
func TestDelayEnds(t *testing.T) {
	p, err := startDelay("127.0.0.1:1", 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	c, err := net.Dial("tcp", p.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d, %v from a server that is not there", n, err)
	}
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Minute)
		ended := make(chan error, 1)
		c := delayed(distances[0], func(c net.Conn) { _, err := io.Copy(io.Discard, c); ended <- err })
		c.Close()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Error("the server's connection outlives the client's")
		}
	})
}
