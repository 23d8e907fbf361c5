package sshlink

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

// A listener for which nobody waits any more in the moment of the server's answer
// is either the caller's or taken back, and never both or neither.
func TestListenGivenUpAtItsAnswer(t *testing.T) {
	for range 40 { // which of two comes first is drawn
		linked(t, sshtest.Options{}, func(t *testing.T, l *Link, srv *sshtest.Server) {
			ctx, cancel := context.WithCancel(t.Context())
			port, err := l.Listen(late{ctx, new(sync.Once), func() { synctest.Wait(); cancel() }}, control.Endpoint{Host: "localhost"})
			synctest.Wait()
			_, known := l.listening[control.Endpoint{Host: "localhost", Port: port}]
			if taken := cancelled(srv); (err == nil) == taken || (err == nil) != known {
				t.Errorf("%v; known here %v, taken back %v\n%s", err, known, taken, srv.Dump())
			}
		})
	}
}

// cancelled reports that the server was told to stop listening at the port that it
// had chosen.
func cancelled(srv *sshtest.Server) bool {
	for _, e := range srv.Events(sshtest.GlobalRequest) {
		var m struct {
			Host string
			Port uint32
		}
		if e.Name == "cancel-tcpip-forward" && ssh.Unmarshal(e.Payload, &m) == nil && m.Port > 0 {
			return true
		}
	}
	return false
}
