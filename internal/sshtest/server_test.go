package sshtest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// login dials s and logs in with the methods.
func login(s *Server, methods ...ssh.AuthMethod) (*ssh.Client, error) {
	conn, err := s.Dial(context.Background())
	if err != nil {
		return nil, err
	}
	c, opens, requests, err := ssh.NewClientConn(conn, "sshtest:22", &ssh.ClientConfig{
		User: "user", Auth: methods, HostKeyCallback: ssh.FixedHostKey(s.HostKey()),
	})
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(c, opens, requests), nil
}

// served runs f in a bubble with a client that is logged in.
func served(t *testing.T, opts Options, f func(t *testing.T, s *Server, c *ssh.Client)) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		s := NewServer(opts)
		defer s.Close()
		c, err := login(s)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		f(t, s, c)
	})
}

func newSession(t *testing.T, c *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeepaliveForTenMinutesTakesNoTime(t *testing.T) {
	began := time.Now()
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		start := time.Now()
		for range 40 {
			time.Sleep(15 * time.Second)
			if ok, _, err := c.SendRequest("keepalive@openssh.com", true, nil); ok || err != nil {
				t.Fatalf("keepalive: %t, %v", ok, err)
			}
		}
		if d := time.Since(start); d != 10*time.Minute {
			t.Errorf("took %v of virtual time", d)
		}
		if n := s.Count(GlobalRequest, "keepalive@openssh.com"); n != 40 {
			t.Errorf("server saw %d keepalives", n)
		}
	})
	if d := time.Since(began); d > time.Minute {
		t.Errorf("took %v of real time", d)
	}
}

func TestKeepaliveIsUnansweredWhenStalledOrTold(t *testing.T) {
	for name, break_ := range map[string]func(*Server){
		"stalled to the client": func(s *Server) { s.Last().Pipe().Out().Stall() },
		"stalled to the server": func(s *Server) { s.Last().Pipe().In().Stall() },
		"hung peer":             func(s *Server) { s.Update(func(o *Options) { o.IgnoreKeepalives = true }) },
	} {
		t.Run(name, func(t *testing.T) {
			served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
				break_(s)
				start := time.Now()
				time.AfterFunc(45*time.Second, func() { c.Close() })
				_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
				if d := time.Since(start); err == nil || d != 45*time.Second {
					t.Errorf("answered after %v, %v", d, err)
				}
			})
		})
	}
}

func TestRoundTripIsTwiceTheDelay(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		s.Last().Pipe().Slow(20 * time.Millisecond)
		start := time.Now()
		c.SendRequest("keepalive@openssh.com", true, nil)
		if d := time.Since(start); d != 40*time.Millisecond {
			t.Errorf("round trip %v", d)
		}
	})
}

func TestDial(t *testing.T) {
	down := errors.New("no route to host")
	bubble(t, func(t *testing.T) {
		s := NewServer(Options{DialDelay: time.Hour, DialError: down})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := s.Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unreachable: %v", err)
		}
		s.Update(func(o *Options) { o.DialDelay = time.Second })
		start := time.Now()
		if _, err := s.DialContext(context.Background(), "tcp", "host:22"); err != down || time.Since(start) != time.Second {
			t.Errorf("down: %v after %v", err, time.Since(start))
		}
		s.Close()
		s.Update(func(o *Options) { o.DialError = nil })
		if _, err := s.Dial(context.Background()); err != ErrServerClosed {
			t.Errorf("closed: %v", err)
		}
		if s.Count(Dialled, "") != 3 || s.Count(Dialled, "host:22") != 1 {
			t.Error(s.Dump())
		}
	})
}

func TestHandshakeDelayIsSilence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer(Options{HandshakeDelay: 10 * time.Second})
		defer s.Close()
		conn, _ := s.Dial(context.Background())
		start := time.Now()
		io.ReadFull(conn, make([]byte, 4))
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("first bytes after %v", d)
		}
		conn.Close()
	})
}

func TestGreetingReplacesSSH(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer(Options{Greeting: "Exceeded MaxStartups\r\n"})
		defer s.Close()
		conn, _ := s.Dial(context.Background())
		text, err := io.ReadAll(conn)
		if string(text) != "Exceeded MaxStartups\r\n" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		if s.Last().Conn() != nil {
			t.Error("there is a connection without a login")
		}
	})
}

func TestRotateHostKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer(Options{})
		defer s.Close()
		before := s.HostKey()
		conn, _ := s.Dial(context.Background())
		first, _, _, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{HostKeyCallback: ssh.FixedHostKey(before)})
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		after := s.RotateHostKey()
		if string(after.Marshal()) == string(before.Marshal()) || string(after.Marshal()) != string(s.HostKey().Marshal()) {
			t.Error("the key is the same")
		}
		conn, _ = s.Dial(context.Background())
		if _, _, _, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{HostKeyCallback: ssh.FixedHostKey(before)}); err == nil {
			t.Error("the old key still proves the server")
		}
	})
}

// At whatever byte the connection is cut, the client gets an error and no
// later than the cut: nobody waits for what cannot come.
func TestCutAnywhereInTheHandshakeIsAnError(t *testing.T) {
	whole := map[bool]int64{}
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		synctest.Wait()
		whole[true], whole[false] = s.Last().Pipe().In().Delivered(), s.Last().Pipe().Out().Delivered()
	})
	for up, total := range whole {
		if total < 500 {
			t.Fatalf("a handshake of %d bytes", total)
		}
		for at := int64(0); at < total; at += 41 {
			bubble(t, func(t *testing.T) { cutOnce(t, up, at) })
		}
	}
}

func cutOnce(t *testing.T, up bool, at int64) {
	s := NewServer(Options{})
	defer s.Close()
	conn, err := s.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	lane := conn.(*Conn).In()
	if up {
		lane = conn.(*Conn).Out()
	}
	lane.CutAfter(at)
	c, opens, requests, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err == nil {
		// The last byte from here may follow the login: then the first
		// request fails.
		client := ssh.NewClient(c, opens, requests)
		if _, _, err = client.SendRequest("keepalive@openssh.com", true, nil); err == nil {
			t.Errorf("cut after %d bytes went unnoticed", at)
		}
		client.Close()
	}
}

func TestFloodStallsOnlyWhoDoesNotDrain(t *testing.T) {
	for _, drains := range []bool{true, false} {
		served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
			_, requests, err := c.OpenChannel("session", nil)
			if err != nil {
				t.Fatal(err)
			}
			if drains {
				go ssh.DiscardRequests(requests)
			}
			synctest.Wait()
			if err := s.Sessions()[0].FloodRequests(1000); err != nil {
				t.Error(err)
			}
			time.AfterFunc(time.Minute, func() { c.Close(); go ssh.DiscardRequests(requests) })
			_, _, err = c.SendRequest("keepalive@openssh.com", true, nil)
			if answered := err == nil; answered != drains {
				t.Errorf("drains %t, answered %t", drains, answered)
			}
			c.Close()
			time.Sleep(time.Hour)
		})
	}
}

func TestFloodOpensCountsAnswers(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		opens := c.HandleChannelOpen("welcome@sshtest")
		go func() {
			for o := range opens {
				ch, requests, _ := o.Accept()
				go ssh.DiscardRequests(requests)
				go ch.Close()
			}
		}()
		if yes, no := s.Last().FloodOpens("unheard-of", nil, 3000); yes != 0 || no != 3000 {
			t.Errorf("accepted %d, refused %d", yes, no)
		}
		if yes, no := s.Last().FloodOpens("welcome@sshtest", nil, 500); yes != 500 || no != 0 {
			t.Errorf("accepted %d, refused %d", yes, no)
		}
		if err := s.Last().FloodGlobals(100); err != nil {
			t.Error(err)
		}
	})
}

func TestServerRequestReachesTheClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer(Options{})
		defer s.Close()
		conn, _ := s.Dial(context.Background())
		c, _, requests, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			for r := range requests {
				r.Reply(true, []byte("seen "+r.Type))
			}
		}()
		ok, answer, err := s.Last().Request("are you there", true, nil)
		if !ok || string(answer) != "seen are you there" || err != nil {
			t.Errorf("%t %q %v", ok, answer, err)
		}
	})
}

func TestWaitSeesWhatComesAndHonoursItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := NewServer(Options{})
		defer s.Close()
		time.AfterFunc(time.Second, func() {
			if c, err := login(s); err == nil {
				c.Close()
			}
		})
		if err := s.Wait(context.Background(), 1, LoggedIn, "user"); err != nil || s.Logins() != 1 {
			t.Error(err, s.Dump())
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := s.Wait(ctx, 2, LoggedIn, "")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "logged in") {
			t.Error(err)
		}
	})
}

func TestRekeyByTheServer(t *testing.T) {
	served(t, Options{Config: ssh.Config{RekeyThreshold: 64 << 10}}, func(t *testing.T, s *Server, c *ssh.Client) {
		out, err := newSession(t, c).Output("echo x; sleep 1s; echo y")
		if string(out) != "x\ny\n" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
		ch, _, err := c.OpenChannel("direct-tcpip", ssh.Marshal(struct {
			H string
			P uint32
			O string
			F uint32
		}{H: "echo"}))
		if err != nil {
			t.Fatal(err)
		}
		data := strings.Repeat("rekey ", 100_000)
		go func() { io.WriteString(ch, data); ch.CloseWrite() }()
		if got, err := io.ReadAll(ch); string(got) != data || err != nil {
			t.Errorf("%d bytes of %d, %v", len(got), len(data), err)
		}
	})
}
