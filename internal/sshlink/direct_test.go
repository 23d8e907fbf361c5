package sshlink

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
	"muxd/internal/wire"
)

// A connection that both sides have closed is whole, whatever becomes of the link
// before the last of it is read.
func TestWholeBeforeTheLinkEnds(t *testing.T) {
	end := func(l *Link) {
		synctest.Wait() // what was sent is back, and the server has closed it
		time.Sleep(time.Second)
		l.Fail(ErrReplaced)
		synctest.Wait()
	}
	linked(t, sshtest.Options{}, func(t *testing.T, l *Link, _ *sshtest.Server) {
		s, err := l.OpenDirect(t.Context(), user(), &control.DirectRequest{Host: "db", Port: 1})
		if err != nil {
			t.Fatal(err)
		}
		s.Write([]byte("whole"))
		s.CloseWrite()
		end(l)
		if b, err := io.ReadAll(s); string(b) != "whole" || err != nil {
			t.Errorf("-W: %q, %v", b, err)
		}
		if _, err := s.Wait(); err != nil {
			t.Errorf("-W: %v", err)
		}
	})
	linked(t, sshtest.Options{}, func(t *testing.T, l *Link, _ *sshtest.Server) {
		c, err := l.OpenThrough(t.Context(), user(), control.Endpoint{Host: "db", Port: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("whole"))
		c.CloseWrite()
		end(l)
		if b, err := io.ReadAll(c); string(b) != "whole" || err != nil || c.Lost() != nil {
			t.Errorf("a forward: %q, %v, %v", b, err, c.Lost())
		}
	})
}

// The end of one that the server has closed is told at once, however many channels
// there are, and also where the connection ends right behind it.
func TestEndIsToldAtOnce(t *testing.T) {
	linked(t, sshtest.Options{}, func(t *testing.T, l *Link, srv *sshtest.Server) {
		for n := range 20 {
			s, err := l.OpenDirect(t.Context(), user(), &control.DirectRequest{Host: "db", Port: 1})
			if err != nil {
				t.Fatal(err)
			}
			s.Write([]byte("whole"))
			begin := time.Now()
			s.CloseWrite()
			b, err := io.ReadAll(s)
			if _, werr := s.Wait(); string(b) != "whole" || err != nil || werr != nil {
				t.Errorf("%q, %v, %v", b, err, werr)
			}
			if took := time.Since(begin); took != 0 {
				t.Errorf("told after %v, with %d others", took, n)
			}
			if _, err := l.OpenThrough(t.Context(), user(), control.Endpoint{Host: "db", Port: 1}, nil); err != nil {
				t.Fatal(err)
			}
		}
		s, err := l.OpenDirect(t.Context(), user(), &control.DirectRequest{Host: "db", Port: 1})
		if err != nil {
			t.Fatal(err)
		}
		s.CloseWrite()
		synctest.Wait()
		srv.Last().Drop()
		if _, err := s.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// What the SSH library begins a new list of channels for says nothing of those that
// it has dropped.
func TestAnotherListIsNoProof(t *testing.T) {
	linked(t, sshtest.Options{}, func(t *testing.T, l *Link, srv *sshtest.Server) {
		if _, err := l.OpenDirect(t.Context(), user(), &control.DirectRequest{Host: "db", Port: 1}); err != nil {
			t.Fatal(err)
		}
		if !l.library.keeps(l.Conn) {
			t.Error("dropped already")
		}
		srv.Last().Drop()
		<-l.Done()
		l.Conn.OpenChannel("session", nil)
		if mu, chans := channelList(l.Conn); mu == nil || chans.Len() != 1 || l.library.keeps(l.Conn) {
			t.Error("taken for the one before, or not what was meant")
		}
	})
}

// One that the server ends by a message reads as if each channel had been closed.
func TestDisconnectIsALoss(t *testing.T) {
	for range 60 { // the end of the channel and that of the link race, and the other one seldom wins
		synctest.Test(t, disconnected)
	}
}

func disconnected(t *testing.T) {
	near, far := sshtest.Pipe()
	key := sshtest.NewKey()
	go func() {
		r := sshtest.NewRogue(far, key)
		err := r.Login()
		var open struct {
			Kind string `sshtype:"90"`
			ID   uint32
			Rest []byte `ssh:"rest"`
		}
		for _, f := range []func() error{
			func() error {
				p, err := r.Expect(sshtest.MsgOpen)
				if err != nil {
					return err
				}
				return ssh.Unmarshal(p, &open)
			},
			func() error { return r.Confirm(open.ID, 2<<20, 32<<10) },
			func() error { return r.Data(open.ID, []byte("half")) },
			func() error { time.Sleep(time.Second); return nil },
			func() error { return r.Write(sshtest.Packet(sshtest.MsgDisconnect, uint32(11), "bye", "")) },
		} {
			if err == nil {
				err = f()
			}
		}
		if err != nil {
			t.Error(err)
		}
	}()
	w := wire.New(near)
	c, chans, reqs, err := ssh.NewClientConn(w, "host:22", &ssh.ClientConfig{User: "me", HostKeyCallback: ssh.FixedHostKey(key.PublicKey())})
	if err != nil {
		t.Fatal(err)
	}
	l := newLink(c, w)
	l.Start(chans, reqs)
	s, err := l.OpenDirect(t.Context(), user(), &control.DirectRequest{Host: "db", Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	io.ReadAll(s)
	if _, err := s.Wait(); err == nil || !strings.Contains(err.Error(), "bye") {
		t.Errorf("told %v", err)
	}
	far.Close()
}
