package sshlink

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
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
