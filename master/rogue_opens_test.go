package master

import (
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// What the server opens unasked is refused, and a flood of it stops nobody.
func TestRogueOpens(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		stuck := make(chan struct{})
		s.targets["localhost:22"] = func() (net.Conn, error) {
			a, b := sshtest.PipeSize(16)
			go func() { <-stuck; b.Close() }()
			return a, nil
		}
		r.mustForward("-N", "-R", "2222:localhost:22", "host")
		other := r.open("host", "cat")
		peer := r.srv.Last()
		open := func(host string, port uint32) error {
			ch, err := peer.Open("forwarded-tcpip", ssh.Marshal(struct {
				Host string
				Port uint32
				From string
				At   uint32
			}{host, port, "192.0.2.7", 7}))
			if err == nil {
				go func() { ch.Write(make([]byte, 32<<10)); <-stuck; ch.Close() }()
			}
			return err
		}
		for _, c := range []struct {
			host string
			port uint32
		}{{"localhost", 2223}, {"127.0.0.1", 2222}, {"", 2222}, {"localhost", 2222 + 65536}} {
			if err := open(c.host, c.port); err == nil {
				t.Errorf("an open for %s:%d was taken", c.host, c.port)
			}
		}
		for _, kind := range []string{"auth-agent@openssh.com", "x11", "forwarded-streamlocal@openssh.com", "session", "nonsense"} {
			if _, err := peer.Open(kind, ssh.Marshal(struct{ A, B string }{"/run/x", ""})); err == nil {
				t.Errorf("%s was taken", kind)
			}
		}
		taken := 0
		for range 1000 {
			if open("localhost", 2222) == nil {
				taken++
			}
		}
		began := time.Now()
		if got, err := exchangeStream(other, "still here"); got != "still here" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("a neighbour was held up for %v", took)
		}
		if taken != 1000 {
			t.Errorf("%d of 1000 were taken", taken)
		}
		close(stuck)
		other.Close()
	})
}
