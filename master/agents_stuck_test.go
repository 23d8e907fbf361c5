package master

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// stuckAgents has the server open so many, and returns what it was told.
func stuckAgents(p *sshtest.Peer, n int) *tally {
	ty := &tally{got: map[string]int{}}
	for range n {
		go func() {
			ch, err := p.OpenAgent()
			ty.mu.Lock()
			defer ty.mu.Unlock()
			switch {
			case err == nil:
				ty.open = append(ty.open, ch)
			default:
				ty.got[err.Error()]++
			}
		}()
	}
	return ty
}

type tally struct {
	mu   sync.Mutex
	got  map[string]int
	open []ssh.Channel
}

func (ty *tally) count(part string) (n int) {
	synctest.Wait()
	ty.mu.Lock()
	defer ty.mu.Unlock()
	for text, k := range ty.got {
		if strings.Contains(text, part) {
			n += k
		}
	}
	return n
}

// An agent that takes no connection is given up after 10 s, and a thousand opens
// meanwhile hold up nothing: not the session, not a new one.
func TestStuckAgent(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		as := r.agents("/a")
		alive := as.paths["/a"]
		as.set("/a", func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() })
		s := r.lends("/a", "cat")
		p := r.srv.Last()
		ty := stuckAgents(p, 1000)
		if n := ty.count("resource shortage (\"too many open channels of this kind\")"); n != 1000-maxLent {
			t.Errorf("%d were refused at once", n)
		}
		began := time.Now()
		if got, err := exchangeStream(s, "here"); got != "here" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		r.run("host", "true")
		if took := time.Since(began); took > time.Second {
			t.Errorf("others were held up for %v", took)
		}
		just(t, lendTimeout-time.Since(began), "the agent is waited for", func() bool { return ty.count("agent connection failed") == 0 })
		if n := ty.count("agent connection failed"); n != maxLent {
			t.Errorf("%d were given up", n)
		}
		as.set("/a", alive)
		if got := as.at(p); got != "/a" {
			t.Errorf("after it: %s", got)
		}
		s.Close()
		r.wantLogins(1)
	})
}

// An agent that takes connections and no byte is stuck for those who wait for it
// alone, and lets the session end.
func TestDeafAgent(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		as := r.agents("/a")
		as.set("/a", func(context.Context) (net.Conn, error) {
			near, _ := sshtest.PipeSize(16)
			return near, nil
		})
		s, other := r.lends("/a", "cat"), r.open("host", "cat")
		p := r.srv.Last()
		ty := stuckAgents(p, 1000)
		if n := ty.count("too many open channels"); n != 1000-maxLent {
			t.Errorf("%d were refused", n)
		}
		for _, ch := range ty.open {
			go ch.Write(make([]byte, long(1<<18))) // far beyond what an agent takes
		}
		synctest.Wait()
		began := time.Now()
		if got, err := exchangeStream(other, "here"); got != "here" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("a neighbour was held up for %v", took)
		}
		s.Close()
		synctest.Wait()
		again := r.lends("/a", "cat")
		if n := stuckAgents(p, maxLent).count("too many open channels"); n != 0 {
			t.Errorf("%d are lent after the end of the session", n)
		}
		again.Close()
		other.Close()
	})
}
