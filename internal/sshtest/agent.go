package sshtest

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Agent is an SSH agent that counts, delays and refuses. Its methods may be
// called from any goroutine.
type Agent struct {
	Path string // the socket; empty for one that NewAgent made

	ring agent.ExtendedAgent
	wg   sync.WaitGroup

	mu    sync.Mutex
	signs int           // guarded by mu, as is all below
	delay time.Duration // before a signature, as of a key that waits for a touch
	fault error
	conns map[net.Conn]bool
	ended bool // the test has; a connection accepted just before is not served
}

// NewAgent returns an agent with the keys and without a socket: for Serve, in
// a bubble or not.
func NewAgent(keys ...*Key) *Agent {
	a := &Agent{ring: agent.NewKeyring().(agent.ExtendedAgent), conns: make(map[net.Conn]bool)}
	for _, k := range keys {
		a.Add(k)
	}
	return a
}

// ServeAgent serves an agent with the keys on a socket of its own, for
// SSH_AUTH_SOCK or IdentityAgent, until the test ends.
func ServeAgent(t testing.TB, keys ...*Key) *Agent {
	t.Helper()
	// Not t.TempDir: the name of a test is long and a socket's path may not be.
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	a := NewAgent(keys...)
	a.Path = filepath.Join(dir, "s")
	ln, err := net.Listen("unix", a.Path)
	if err != nil {
		t.Fatal(err)
	}
	a.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			a.wg.Go(func() { a.Serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		a.set(func() { a.ended = true })
		a.Drop()
		a.wg.Wait()
		os.RemoveAll(dir)
	})
	return a
}

// Serve answers on one connection until it ends, and closes it.
func (a *Agent) Serve(conn net.Conn) error {
	defer conn.Close()
	if !a.enter(conn) {
		return net.ErrClosed
	}
	defer a.set(func() { delete(a.conns, conn) })
	return agent.ServeAgent(scripted{a.ring, a}, conn)
}

func (a *Agent) enter(conn net.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		a.conns[conn] = true
	}
	return !a.ended
}

// Drop closes the connections of the moment.
func (a *Agent) Drop() {
	a.set(func() {
		for c := range a.conns {
			c.Close()
		}
	})
}

// Add adds a key. It panics on a key that the agent cannot hold, which no Key
// is.
func (a *Agent) Add(k *Key) {
	if err := a.ring.Add(agent.AddedKey{PrivateKey: k.Private, Comment: "sshtest"}); err != nil {
		panic("sshtest: add key to agent: " + err.Error())
	}
}

// Remove takes a key away.
func (a *Agent) Remove(k *Key) error { return a.ring.Remove(k.PublicKey()) }

// Delay makes every signature take d.
func (a *Agent) Delay(d time.Duration) { a.set(func() { a.delay = d }) }

// Refuse makes every signature fail, or ends that; the keys are still listed.
func (a *Agent) Refuse(refuse bool) {
	a.set(func() {
		a.fault = nil
		if refuse {
			a.fault = errors.New("refused by the test's script")
		}
	})
}

// Signs returns how many signatures were asked for.
func (a *Agent) Signs() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.signs
}

func (a *Agent) set(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// sign counts a request and does what the script says.
func (a *Agent) sign() error {
	a.mu.Lock()
	a.signs++
	delay, fault := a.delay, a.fault
	a.mu.Unlock()
	time.Sleep(delay)
	return fault
}

// scripted puts the script before the keyring's signatures.
type scripted struct {
	agent.ExtendedAgent
	a *Agent
}

func (s scripted) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	return s.SignWithFlags(key, data, 0)
}

func (s scripted) SignWithFlags(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	if err := s.a.sign(); err != nil {
		return nil, err
	}
	return s.ExtendedAgent.SignWithFlags(key, data, flags)
}
