package sshauth

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Logins that keep nothing and want the same file at once do not take it away
// from each other.
func TestForeignFileForMany(t *testing.T) {
	p := newPrivate(t)
	path, k := keygen(t, "-t", "ed25519", "-Z", gcm, "-N", "pass")
	done := make(chan error)
	const many = 8
	for range many {
		cfg := usual()
		cfg.IdentityFiles, cfg.Private, cfg.Ask = []string{path}, p, func(context.Context, Question) (string, error) { return "pass", nil }
		c := (&server{accept: []*key{k}}).serve(t)
		go func() { _, err := handshake(t, t.Context(), c, cfg); done <- err }()
	}
	for range many {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := p.inAgent(t); n != 0 || len(p.held) != 0 || len(p.loading) != 0 {
		t.Errorf("%d keys left, %v, %v", n, p.held, p.loading)
	}
}

// fakeProcess puts an agent of this process in the place of ssh-agent.
func (p *PrivateAgent) fakeProcess(t testing.TB, socket string) *agentProcess {
	t.Helper()
	dir, err := os.MkdirTemp("", "f")
	if err != nil {
		t.Fatal(err)
	}
	in, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	proc := &agentProcess{dir: dir, socket: socket, hold: hold, done: make(chan struct{})}
	if proc.relay, err = newRelay(dir + "/a"); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(proc.done); in.Read(make([]byte, 1)); in.Close() }()
	p.proc = proc
	return proc
}

// pinAgent asks for a PIN before it signs, as ssh-agent does for a security key
// that wants one.
type pinAgent struct {
	agent.ExtendedAgent
	socket string
	pin    string
}

func (a *pinAgent) SignWithFlags(k ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	out, err := askpassProgram(a.socket, "", "Enter PIN for ED25519-SK key /k: ").Output()
	if err != nil || strings.TrimSpace(string(out)) != a.pin {
		return nil, errors.New("wrong PIN")
	}
	return a.ExtendedAgent.SignWithFlags(k, data, flags)
}

// What the agent asks while it signs goes to the person of the login that has
// it sign, and to no other that waits for its turn.
func TestAgentAsksForPIN(t *testing.T) {
	k := newKey(t, "k")
	ring := &pinAgent{ExtendedAgent: ringOf(t, k).(agent.ExtendedAgent), pin: "1234"}
	p := NewPrivateAgent(PrivateConfig{})
	defer p.Close()
	ring.socket = p.fakeProcess(t, serveAgent(t, ring)).relay.ln.Addr().String()
	for _, tt := range []struct {
		answers []string
		ok      bool
	}{{[]string{"1234"}, true}, {[]string{"4321"}, false}, {nil, false}, {[]string{"1234"}, true}} {
		who := &person{answers: tt.answers}
		cfg := usual()
		cfg.Private, cfg.Ask = p, who.ask
		l := New(t.Context(), cfg)
		_, err := l.signPrivate(k.pub, []byte("data"), ssh.KeyAlgoED25519)
		if (err == nil) != tt.ok || len(who.asked) != 1 || who.asked[0].Text != "Enter PIN for ED25519-SK key /k: " || who.asked[0].Echo {
			t.Errorf("%q: %v, asked %+v", tt.answers, err, who.asked)
		}
		if nobody := tt.answers == nil; l.nobody != nobody {
			t.Errorf("%q: nobody %v", tt.answers, l.nobody)
		}
		l.Close()
	}
}
