package sshtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// ran runs one command and returns what it printed.
func ran(t *testing.T, s *ssh.Session, command string) (out, stderr string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	s.Stdout, s.Stderr = &o, &e
	err = s.Run(command)
	return o.String(), e.String(), err
}

func TestAgentFromWithinASession(t *testing.T) {
	k := NewKey()
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		_, stderr, err := ran(t, newSession(t, c), "agent")
		if err == nil || stderr != "agent: refused: 3 unknown channel type: auth-agent@openssh.com\n" {
			t.Errorf("%q, %v", stderr, err)
		}
		a := NewAgent(k)
		serveOpens(c, "auth-agent@openssh.com", func(ch ssh.Channel) {
			near, far := Pipe()
			go a.Serve(far)
			go func() { io.Copy(near, ch); near.Close() }()
			io.Copy(ch, near)
		})
		session := newSession(t, c)
		if ok, err := session.SendRequest("auth-agent-req@openssh.com", true, nil); !ok || err != nil {
			t.Fatal(ok, err)
		}
		out, stderr, err := ran(t, session, "agent")
		if out != ssh.FingerprintSHA256(k.PublicKey())+"\n" || stderr != "" || err != nil {
			t.Errorf("%q, %q, %v", out, stderr, err)
		}
		if !s.Sessions()[1].WantsAgent() {
			t.Error("not recorded")
		}
	})
}

// serveOpens accepts channels of a type that the server opens.
func serveOpens(c *ssh.Client, kind string, f func(ssh.Channel)) {
	opens := c.HandleChannelOpen(kind)
	go func() {
		for o := range opens {
			ch, requests, err := o.Accept()
			if err != nil {
				continue
			}
			go ssh.DiscardRequests(requests)
			go func() { f(ch); ch.Close() }()
		}
	}()
}

func TestX11FromWithinASession(t *testing.T) {
	const own, other = "000102030405060708090a0b0c0d0e0f", "ff0102030405060708090a0b0c0d0e0f"
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		serveOpens(c, "x11", func(ch ssh.Channel) {
			b := make([]byte, 12+20+16)
			if _, err := io.ReadFull(ch, b); err != nil || b[0] != 'B' {
				return
			}
			switch hex.EncodeToString(b[32:]) {
			case own:
				ch.Write([]byte{1, 0, 0, 11, 0, 0, 0, 1, 0, 0, 0, 0})
			case other:
				ch.Write([]byte{0, 2, 0, 11, 0, 0, 0, 1, 'n', 'o', 0, 0})
			}
		})
		ask := X11{Proto: "MIT-MAGIC-COOKIE-1", Cookie: own, Screen: 2}
		for command, want := range map[string]string{
			"x11": "success\n", "x11 " + other: "failed no\n", "x11 " + other[2:] + "00": "closed\n",
		} {
			session := newSession(t, c)
			if ok, err := session.SendRequest("x11-req", true, ssh.Marshal(ask)); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if out, stderr, err := ran(t, session, command); out != want || err != nil {
				t.Errorf("%s: %q, %q, %v", command, out, stderr, err)
			}
			sessions := s.Sessions()
			if got := sessions[len(sessions)-1].X11(); got == nil || *got != ask {
				t.Errorf("%+v", got)
			}
		}
		s.Update(func(o *Options) { o.RefuseX11 = true })
		session := newSession(t, c)
		if ok, _ := session.SendRequest("x11-req", true, ssh.Marshal(ask)); ok {
			t.Error("x11-req is not refused")
		}
		if sessions := s.Sessions(); sessions[len(sessions)-1].X11() != nil {
			t.Error("recorded what was refused")
		}
	})
}

func TestX11Setup(t *testing.T) {
	want := "6c000b0000000300010000006162630009000000"
	if got := hex.EncodeToString(X11Setup(binary.LittleEndian, "abc", []byte{9})); got != want {
		t.Errorf("%s", got)
	}
	refusal := []byte{0, 3, 11, 0, 0, 0, 1, 0, 'b', 'u', 't', 0}
	if got := X11Answer(bytes.NewReader(refusal), binary.LittleEndian); got != "failed but" {
		t.Errorf("%q", got)
	}
	for n := range refusal {
		if got := X11Answer(bytes.NewReader(refusal[:n]), binary.LittleEndian); got != "closed" {
			t.Errorf("%d bytes: %q", n, got)
		}
	}
}

func TestDirectFailsWithTheTestsReason(t *testing.T) {
	opts := Options{Direct: func(context.Context, string) (io.ReadWriteCloser, error) {
		return nil, &ssh.OpenChannelError{Reason: ssh.ResourceShortage, Message: "full"}
	}}
	served(t, opts, func(t *testing.T, s *Server, c *ssh.Client) {
		var why *ssh.OpenChannelError
		if _, err := direct(c, "db", 1); !errors.As(err, &why) || why.Reason != ssh.ResourceShortage || why.Message != "full" {
			t.Error(err)
		}
	})
}

func TestListenIsRefusedAlone(t *testing.T) {
	served(t, Options{RefuseListen: true}, func(t *testing.T, s *Server, c *ssh.Client) {
		if ok, _, _ := c.SendRequest("tcpip-forward", true, ssh.Marshal(bindMessage{"", 0})); ok {
			t.Error("bound")
		}
		ch, err := direct(c, "db", 1)
		if err != nil {
			t.Fatal(err)
		}
		ch.Close()
	})
}

func TestGivenPorts(t *testing.T) {
	served(t, Options{Ports: []uint32{5000, 6000, 5000}}, func(t *testing.T, s *Server, c *ssh.Client) {
		for _, want := range []struct {
			port uint32
			ok   bool
		}{{5000, true}, {6000, true}, {5000, false}, {40001, true}} {
			ok, payload, err := c.SendRequest("tcpip-forward", true, ssh.Marshal(bindMessage{"", 0}))
			if ok != want.ok || err != nil || ok && binary.BigEndian.Uint32(payload) != want.port {
				t.Errorf("%v: %t %v %v", want, ok, payload, err)
			}
		}
	})
}

// A port of a connection that ended is taken for as long as the test said, to
// the instant, for everybody.
func TestHeldPorts(t *testing.T) {
	served(t, Options{HoldPorts: 10 * time.Second}, func(t *testing.T, s *Server, c *ssh.Client) {
		bind := ssh.Marshal(bindMessage{"localhost", 8080})
		if ok, _, _ := c.SendRequest("tcpip-forward", true, bind); !ok {
			t.Fatal("not bound")
		}
		if ok, _, _ := c.SendRequest("cancel-tcpip-forward", true, bind); !ok {
			t.Fatal("not cancelled")
		}
		if ok, _, _ := c.SendRequest("tcpip-forward", true, bind); !ok {
			t.Error("held, although it was cancelled")
		}
		s.Last().Drop()
		if err := s.Wait(t.Context(), 1, Disconnected, ""); err != nil {
			t.Fatal(err)
		}
		again, err := login(s)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if ok, _, _ := again.SendRequest("cancel-tcpip-forward", true, bind); ok {
			t.Error("cancelled another's forward")
		}
		time.Sleep(10*time.Second - 1)
		if ok, _, _ := again.SendRequest("tcpip-forward", true, bind); ok {
			t.Error("not held")
		}
		if !slices.Equal(s.Forwards(), []string{"localhost:8080"}) {
			t.Errorf("%q", s.Forwards())
		}
		if _, err := s.Connect("localhost:8080"); err == nil {
			t.Error("a dead connection answers")
		}
		time.Sleep(time.Nanosecond)
		if len(s.Forwards()) != 0 {
			t.Errorf("%q", s.Forwards())
		}
		if ok, _, _ := again.SendRequest("tcpip-forward", true, bind); !ok {
			t.Error("still held")
		}
	})
}
