package sshauth

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func TestAgent(t *testing.T) {
	for _, k := range []*key{newKey(t, "ed"), newEC(t, "ec"), newRSA(t, "rsa")} {
		s := &server{accept: []*key{k}}
		cfg := usual()
		cfg.AgentSocket = serveAgent(t, ringOf(t, newKey(t, "other"), k))
		used, err := s.login(t, cfg)
		wantUsed(t, used, err, "publickey "+ssh.FingerprintSHA256(k.pub)+" (agent)")
	}
}

// With IdentitiesOnly a public key beside a missing file, or instead of it, is
// enough to say which of the agent's keys is meant.
func TestIdentitiesOnly(t *testing.T) {
	a, b, c := newKey(t, "a"), newKey(t, "b"), newKey(t, "c")
	dir := t.TempDir()
	writePublic(t, filepath.Join(dir, "b.pub"), b.pub)
	writePublic(t, filepath.Join(dir, "c"), c.pub)
	s := &server{known: []*key{a, b, c}}
	cfg := usual()
	cfg.IdentitiesOnly = true
	cfg.AgentSocket = serveAgent(t, ringOf(t, a, c, b))
	cfg.IdentityFiles = []string{filepath.Join(dir, "b"), filepath.Join(dir, "c")}
	if _, err := s.login(t, cfg); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
	s.expect(t, "offer b", "offer c")
}

// An encrypted key that the agent holds needs no passphrase.
func TestAgentSparesThePassphrase(t *testing.T) {
	k := newKey(t, "k")
	s := &server{accept: []*key{k}}
	p := &person{}
	cfg := usual()
	cfg.Ask = p.ask
	cfg.AgentSocket = serveAgent(t, ringOf(t, k))
	cfg.IdentityFiles = []string{k.file(t, "pass")}
	if _, err := s.login(t, cfg); err != nil || len(p.asked) > 0 {
		t.Errorf("%v, asked %v", err, p.asked)
	}
	s.expect(t, "offer k", "sign k ssh-ed25519")
}

// fakeAgent lets a test bend a keyring.
type fakeAgent struct {
	agent.ExtendedAgent
	list func() ([]*agent.Key, error)
	sign func(k ssh.PublicKey, data []byte) (*ssh.Signature, error)
}

func (f *fakeAgent) List() ([]*agent.Key, error) {
	if f.list != nil {
		return f.list()
	}
	return f.ExtendedAgent.List()
}

func (f *fakeAgent) SignWithFlags(k ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	if f.sign != nil {
		return f.sign(k, data)
	}
	return f.ExtendedAgent.SignWithFlags(k, data, flags)
}

// An agent's fault costs its keys and not the login.
func TestAgentFaults(t *testing.T) {
	k, file := newRSA(t, "k"), newKey(t, "file")
	ring := ringOf(t, k).(agent.ExtendedAgent)
	for _, tt := range []struct {
		name  string
		agent agent.Agent
		want  string
	}{
		{"does not list", &fakeAgent{ExtendedAgent: ring, list: func() ([]*agent.Key, error) { return nil, errors.New("x") }}, "does not list its keys"},
		{"does not sign", &fakeAgent{ExtendedAgent: ring, sign: func(ssh.PublicKey, []byte) (*ssh.Signature, error) { return nil, errors.New("x") }},
			"does not sign with key " + ssh.FingerprintSHA256(k.pub)},
		{"signs by SHA-1", &fakeAgent{ExtendedAgent: ring, sign: func(k ssh.PublicKey, data []byte) (*ssh.Signature, error) { return ring.SignWithFlags(k, data, 0) }},
			`signed by "ssh-rsa" instead of rsa-sha2-512`},
	} {
		cfg := usual()
		cfg.AgentSocket = serveAgent(t, tt.agent)
		_, err := (&server{accept: []*key{k}}).login(t, cfg)
		if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		cfg.IdentityFiles = []string{file.file(t, "")}
		s := &server{accept: []*key{k, file}}
		if used, err := s.login(t, cfg); err != nil || !strings.Contains(used, "/file)") {
			t.Errorf("%s: with a file: %q, %v", tt.name, used, err)
		}
	}
}

func TestNoAgentThere(t *testing.T) {
	cfg := usual()
	cfg.AgentSocket = filepath.Join(t.TempDir(), "gone")
	_, err := (&server{}).login(t, cfg)
	if err == nil || !strings.Contains(err.Error(), "the agent cannot be reached") {
		t.Errorf("error = %v", err)
	}
}

// Agents that answer nonsense, or promise more than they send.
func TestHostileAgent(t *testing.T) {
	frame := func(b ...byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }
	for name, reply := range map[string][]byte{
		"nothing":         {},
		"empty":           frame(),
		"unknown":         frame(200),
		"too long":        {0xff, 0xff, 0xff, 0xff},
		"many keys":       frame(12, 0xff, 0xff, 0xff, 0xff),
		"a key of 4 GiB":  frame(12, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff),
		"a key of no use": frame(12, 0, 0, 0, 1, 0, 0, 0, 1, 'x', 0, 0, 0, 0),
	} {
		cfg := usual()
		cfg.AgentSocket = serveSocket(t, func(c net.Conn) {
			c.Read(make([]byte, 64))
			c.Write(reply)
		})
		if _, err := (&server{}).login(t, cfg); !errors.Is(err, ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An agent that never answers is held to a limit, and left at once when the
// login is given up.
func TestSilentAgent(t *testing.T) {
	silent := func(c net.Conn) { io.Copy(io.Discard, c) }
	ctx, cancel := context.WithCancel(t.Context())
	path := serveSocket(t, func(c net.Conn) {
		c.Read(make([]byte, 1))
		cancel() // the request is there
		silent(c)
	})
	cfg := usual()
	cfg.AgentSocket = path
	began := time.Now()
	if _, err := handshake(t, ctx, (&server{}).serve(t), cfg); err != context.Canceled {
		t.Errorf("error = %v", err)
	}
	if took := time.Since(began); took > agentListTime*2/3 {
		t.Errorf("given up after %v", took)
	}
	a, err := dialAgent(t.Context(), serveSocket(t, silent))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	err = a.within(time.Millisecond, func() error { _, err := a.client.List(); return err })
	if err == nil {
		t.Error("the limit does not hold")
	}
}

// deadlines remembers the last deadline that was set.
type deadlines struct {
	net.Conn
	set  int
	last time.Time
}

func (d *deadlines) SetDeadline(t time.Time) error {
	d.set++
	d.last = t
	return d.Conn.SetDeadline(t)
}

// The limit of one request must not fall on the idle time behind it, in which
// the client reads on and would take it for the agent's end.
func TestLimitEndsWithTheRequest(t *testing.T) {
	a, err := dialAgent(t.Context(), serveAgent(t, ringOf(t, newKey(t, "k"))))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	d := &deadlines{Conn: a.conn}
	a.conn = d
	if keys, err := a.list(); err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v", keys, err)
	}
	if d.set != 2 || !d.last.IsZero() {
		t.Errorf("%d deadlines, the last %v", d.set, d.last)
	}
}

// In the background a key that waits for a touch is not used, though offered:
// whether the server wants it is what decides if a person is missed.
func TestBackgroundTouch(t *testing.T) {
	touch, plain := newKey(t, "touch"), newKey(t, "plain")
	var signed []string
	cfg := usual()
	cfg.Background = true
	cfg.AgentSocket = serveAgent(t, ringOf(t, touch, plain))
	cfg.Avoid = func(k ssh.PublicKey) bool { return sameKey(k, touch.pub) }
	cfg.Signed = func(k ssh.PublicKey, took time.Duration) {
		if took <= 0 {
			t.Error("no time taken")
		}
		signed = append(signed, ssh.FingerprintSHA256(k))
	}
	_, err := (&server{accept: []*key{touch}}).login(t, cfg)
	if !errors.Is(err, ErrNobody) || !strings.Contains(err.Error(), "needs a touch") || len(signed) > 0 {
		t.Errorf("%v, signed %v", err, signed)
	}
	if _, err := (&server{}).login(t, cfg); !errors.Is(err, ErrDenied) {
		t.Errorf("a refused key counts as wanting a person: %v", err)
	}
	if _, err := (&server{accept: []*key{touch, plain}}).login(t, cfg); err != nil || len(signed) != 1 || signed[0] != ssh.FingerprintSHA256(plain.pub) {
		t.Errorf("%v, signed %v", err, signed)
	}
	cfg.Background = false
	if _, err := (&server{accept: []*key{touch}}).login(t, cfg); err != nil || len(signed) != 2 {
		t.Errorf("with a person: %v, signed %v", err, signed)
	}
}
