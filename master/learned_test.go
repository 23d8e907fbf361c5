package master

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

// touched is a touchMemory.
type touched struct {
	nothing
	mu   sync.Mutex
	keys []string // guarded by mu
}

func (m *touched) NeedsTouch(fp string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.keys, fp)
}

func (m *touched) SetNeedsTouch(fp string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = append(m.keys, fp)
}

func (m *touched) want(t *testing.T, when string, keys ...string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Equal(m.keys, keys) {
		t.Errorf("%s: learned %v, want %v", when, m.keys, keys)
	}
}

// withAgent runs f with an agent in memory at the socket that clients name, and
// a server that takes its key alone.
func withAgent(t *testing.T, f func(t *testing.T, r *rig, a *sshtest.Agent, mem *touched, fp string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		key := sshtest.NewKey()
		r := newRig(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}})
		defer r.close()
		a, mem := sshtest.NewAgent(key), &touched{}
		r.env = []string{"SSH_AUTH_SOCK=/agent"}
		r.m.cfg.Learned = mem
		r.m.cfg.DialAgent = func(_ context.Context, path string) (net.Conn, error) {
			if path != "/agent" {
				return nil, errors.New("no such agent")
			}
			near, far := sshtest.Pipe()
			go a.Serve(far)
			return near, nil
		}
		f(t, r, a, mem, ssh.FingerprintSHA256(key.PublicKey()))
	})
}

// A key whose signature took too long in the background is not used there
// again, and still serves a client.
func TestAKeyThatNeedsATouch(t *testing.T) {
	withAgent(t, func(t *testing.T, r *rig, a *sshtest.Agent, mem *touched, fp string) {
		signs := func(what string, want int) {
			t.Helper()
			if got := a.Signs(); got != want {
				t.Errorf("%s: %d signatures, want %d", what, got, want)
			}
		}
		a.Delay(4 * time.Second)
		client := func() {
			t.Helper()
			began := time.Now()
			if _, err := r.ask(t.Context(), says("x"), "host", "true"); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != 4*time.Second {
				t.Errorf("a client's login took %v", took)
			}
			r.wantManaged("exit", "Exit request sent.")
		}
		client()
		mem.want(t, "after a client's login")
		if err := r.dialOf("host"); err != nil {
			t.Fatal(err)
		}
		mem.want(t, "after a login in the background", fp)
		signs("once for a client, once in the background", 2)

		began := time.Now()
		err := r.dialOf("host")
		wantError(t, err, control.Refused, "key "+fp+" needs a touch")
		if classify(err) != faultPerson || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		signs("left out in the background", 2)
		client()
		signs("again for a client", 3)
		mem.want(t, "at the end", fp)
	})
}

func TestHowLongASignatureMayTake(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		fails bool
		learn bool
	}{
		{0, false, false}, {touchTime, false, false}, {touchTime + 1, false, true},
		{touchTime, true, false}, {touchTime + 1, true, true},
		{time.Minute, false, true}, // the login gives up before
	} {
		withAgent(t, func(t *testing.T, r *rig, a *sshtest.Agent, mem *touched, fp string) {
			a.Delay(c.takes)
			a.Refuse(c.fails)
			err := r.dialOf("host")
			if works := !c.fails && c.takes < 10*time.Second; (err == nil) != works {
				t.Errorf("%v: %v", c.takes, err)
			}
			var want []string
			if c.learn {
				want = []string{fp}
			}
			mem.want(t, c.takes.String(), want...)
			time.Sleep(2 * time.Minute) // for the agent
		})
	}
}

// Without a memory nothing is left out.
func TestNoTouchMemory(t *testing.T) {
	withAgent(t, func(t *testing.T, r *rig, a *sshtest.Agent, mem *touched, fp string) {
		r.m.cfg.Learned = nothing{}
		a.Delay(4 * time.Second)
		for range 2 {
			if err := r.dialOf("host"); err != nil {
				t.Error(err)
			}
		}
	})
}
