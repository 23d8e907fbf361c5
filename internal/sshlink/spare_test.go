package sshlink

import (
	"testing"
	"testing/synctest"
	"time"

	"muxd/internal/sshtest"
)

// openssh is a server that is known to bear channels opened ahead of use.
var openssh = sshtest.Options{Version: "SSH-2.0-OpenSSH_9.2p1 Debian-2"}

func wantChannels(t *testing.T, srv *sshtest.Server, n int) {
	t.Helper()
	time.Sleep(2 * spareAfter)
	if got := channels(srv); got != n {
		t.Errorf("the server has %d session channels open, want %d\n%s", got, n, srv.Dump())
	}
}

func TestSpareTrust(t *testing.T) {
	linked(t, openssh, func(t *testing.T, l *Link, srv *sshtest.Server) {
		ends(t, run(t, l, nil, "true"))
		wantChannels(t, srv, 1)
		time.Sleep(spareTrust - spareAfter)
		if synctest.Wait(); !l.trusted() {
			t.Error("not trusted a moment before")
		}
		time.Sleep(time.Millisecond)
		if l.trusted() {
			t.Error("trusted still")
		}
	})
}

// A doubted connection hands out none, and has none opened.
func TestNoSparesInDoubt(t *testing.T) {
	linked(t, openssh, func(t *testing.T, l *Link, srv *sshtest.Server) {
		run(t, l, nil, "sleep 9h")
		wantChannels(t, srv, 2)
		l.doubt()
		if sp := l.takeSpare(); sp != nil {
			t.Error("a spare of a doubted connection")
		}
		l.dropSpares()
		l.began()
		wantChannels(t, srv, 1)
		l.trust()
		l.began()
		wantChannels(t, srv, 2)
	})
}

// One that the server closes between its being taken and the command's going out
// is not the end of the command: it did not start.
func TestASpareThatEndsInTheHand(t *testing.T) {
	linked(t, openssh, func(t *testing.T, l *Link, srv *sshtest.Server) {
		ends(t, run(t, l, nil, "true"))
		wantChannels(t, srv, 1)
		sp := l.takeSpare()
		all := srv.Sessions()
		all[len(all)-1].Drop()
		wantChannels(t, srv, 0)
		l.mu.Lock()
		l.spares.list = []*spare{sp}
		l.mu.Unlock()
		u := user()
		if _, err := l.StartSession(t.Context(), u, command(u, "true"), nil); err != ErrSpareClosed {
			t.Error(err)
		}
		ends(t, run(t, l, nil, "true"))
	})
}
