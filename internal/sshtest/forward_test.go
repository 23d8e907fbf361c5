package sshtest

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"
)

type bindMessage struct {
	Host string
	Port uint32
}

func direct(c *ssh.Client, host string, port uint32) (ssh.Channel, error) {
	ch, requests, err := c.OpenChannel("direct-tcpip", ssh.Marshal(struct {
		H string
		P uint32
		O string
		F uint32
	}{host, port, "127.0.0.1", 1}))
	if err == nil {
		go ssh.DiscardRequests(requests)
	}
	return ch, err
}

func TestDirectEchoes(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		ch, err := direct(c, "anywhere", 80)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(ch, "half a close")
		ch.CloseWrite()
		if text, err := io.ReadAll(ch); string(text) != "half a close" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
	})
}

func TestDirectGoesWhereTheTestSays(t *testing.T) {
	var asked []string
	opts := Options{Direct: func(_ context.Context, address string) (io.ReadWriteCloser, error) {
		asked = append(asked, address)
		if address != "db:5432" {
			return nil, errors.New("connection refused")
		}
		near, far := Pipe()
		io.WriteString(far, "hello")
		far.Close()
		return near, nil
	}}
	served(t, opts, func(t *testing.T, s *Server, c *ssh.Client) {
		ch, err := direct(c, "db", 5432)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(ch); string(text) != "hello" {
			t.Errorf("%q", text)
		}
		ch.Close()
		var why *ssh.OpenChannelError
		if _, err := direct(c, "::1", 1); !errors.As(err, &why) || why.Message != "connection refused" {
			t.Error(err)
		}
		s.Update(func(o *Options) { o.RefuseForward = true })
		if _, err := direct(c, "db", 5432); !errors.As(err, &why) || why.Reason != ssh.Prohibited {
			t.Error(err)
		}
		if !slices.Equal(asked, []string{"db:5432", "[::1]:1"}) {
			t.Errorf("%q", asked)
		}
	})
}

func TestRemoteForward(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		opens := c.HandleChannelOpen("forwarded-tcpip")
		go func() {
			for o := range opens {
				ch, requests, _ := o.Accept()
				go ssh.DiscardRequests(requests)
				io.Copy(ch, ch)
				ch.Close()
			}
		}()
		ok, payload, err := c.SendRequest("tcpip-forward", true, ssh.Marshal(bindMessage{"", 0}))
		if !ok || len(payload) != 4 || err != nil {
			t.Fatalf("%t %v %v", ok, payload, err)
		}
		bound := s.Forwards()
		if len(bound) != 1 || bound[0] != ":40001" {
			t.Fatalf("%q", bound)
		}
		ch, err := s.Connect(":40001")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(ch, "there and back")
		ch.CloseWrite()
		if text, _ := io.ReadAll(ch); string(text) != "there and back" {
			t.Errorf("%q", text)
		}
		if ok, _, _ := c.SendRequest("cancel-tcpip-forward", true, ssh.Marshal(bindMessage{"", 40001})); !ok {
			t.Error("not cancelled")
		}
		if ok, _, _ := c.SendRequest("cancel-tcpip-forward", true, ssh.Marshal(bindMessage{"", 40001})); ok {
			t.Error("cancelled twice")
		}
		if _, err := s.Connect(":40001"); err == nil {
			t.Error("still bound")
		}
	})
}

// A forward of a connection that died silently keeps its port until the
// server notices: the next connection is refused it, and later gets it.
func TestRemoteForwardIsHeldByADeadConnection(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		bind := ssh.Marshal(bindMessage{"localhost", 8080})
		if ok, _, _ := c.SendRequest("tcpip-forward", true, bind); !ok {
			t.Fatal("not bound")
		}
		old := s.Last()
		old.Pipe().Stall()
		c.Close()
		again, err := login(s)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if ok, _, _ := again.SendRequest("tcpip-forward", true, bind); ok {
			t.Error("bound twice")
		}
		if ok, _, _ := again.SendRequest("cancel-tcpip-forward", true, bind); ok {
			t.Error("cancelled another's forward")
		}
		old.Pipe().Resume()
		synctest.Wait()
		if ok, _, _ := again.SendRequest("tcpip-forward", true, bind); !ok {
			t.Error("still held")
		}
	})
}

func TestStreamlocalForward(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		path := ssh.Marshal(struct{ Path string }{"/run/x"})
		if ok, _, _ := c.SendRequest("streamlocal-forward@openssh.com", true, path); !ok {
			t.Fatal("not bound")
		}
		if !slices.Equal(s.Forwards(), []string{"/run/x"}) {
			t.Errorf("%q", s.Forwards())
		}
		var why *ssh.OpenChannelError
		if _, err := s.Connect("/run/x"); !errors.As(err, &why) || why.Reason != ssh.UnknownChannelType {
			t.Errorf("a client without a handler: %v", err)
		}
		if ok, _, _ := c.SendRequest("cancel-streamlocal-forward@openssh.com", true, path); !ok {
			t.Error("not cancelled")
		}
	})
}
