package sshauth

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// taking is an agent that notes what it is given.
type taking struct {
	agent.ExtendedAgent
	mu    sync.Mutex
	given []agent.AddedKey
	fault error
}

func newTaking() *taking { return &taking{ExtendedAgent: agent.NewKeyring().(agent.ExtendedAgent)} }

func (a *taking) Add(k agent.AddedKey) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.given = append(a.given, k)
	if a.fault != nil {
		return a.fault
	}
	return a.ExtendedAgent.Add(k)
}

func TestAddKeysToAgent(t *testing.T) {
	for _, tt := range []struct {
		name    string
		add     AddKeys
		answers []string
		pass    string
		edit    func(*Config)
		fault   error
		given   bool
		asked   int
	}{
		{name: "no"},
		{name: "yes", add: AddKeys{Add: true}, given: true},
		{name: "encrypted", add: AddKeys{Add: true}, pass: "pass", answers: []string{"pass"}, given: true, asked: 1},
		{name: "confirm and time", add: AddKeys{Add: true, Confirm: true, Lifetime: time.Hour}, given: true},
		{name: "asked, yes", add: AddKeys{Add: true, Ask: true}, answers: []string{"YES"}, given: true, asked: 1},
		{name: "asked, enter", add: AddKeys{Add: true, Ask: true}, answers: []string{""}, given: true, asked: 1},
		{name: "asked, no", add: AddKeys{Add: true, Ask: true}, answers: []string{"no"}, asked: 1},
		{name: "asked, nobody", add: AddKeys{Add: true, Ask: true}, asked: 1},
		{name: "background", add: AddKeys{Add: true}, edit: func(c *Config) { c.Background = true }},
		{name: "no agent", add: AddKeys{Add: true}, edit: func(c *Config) { c.AgentSocket = "" }},
		{name: "refused by the agent", add: AddKeys{Add: true}, fault: os.ErrPermission, given: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, other, ring := newKey(t, "k"), newKey(t, "other"), newTaking()
			ring.fault = tt.fault
			path := k.file(t, tt.pass)
			write(t, path+".pub", append(ssh.MarshalAuthorizedKey(k.pub)[:len(ssh.MarshalAuthorizedKey(k.pub))-1], " me@home\n"...))
			who := &person{answers: tt.answers}
			cfg := usual()
			cfg.IdentityFiles, cfg.AgentSocket, cfg.AddKeys, cfg.Ask = []string{other.file(t, ""), path}, serveAgent(t, ring), tt.add, who.ask
			if tt.edit != nil {
				tt.edit(&cfg)
			}
			used, err := (&server{accept: []*key{k}}).login(t, cfg)
			wantUsed(t, used, err, "publickey "+ssh.FingerprintSHA256(k.pub)+" ("+path+")")
			if len(who.asked) != tt.asked || tt.add.Ask && who.asked[0].Text != "Add key "+path+" (me@home) to agent? " {
				t.Errorf("asked %q", who.texts())
			}
			switch g := ring.given; {
			case len(g) > 1, (len(g) == 1) != tt.given: // never the other one, which was not used
				t.Errorf("given %+v", g)
			case tt.given:
				s, err := ssh.NewSignerFromKey(g[0].PrivateKey)
				if err != nil || !sameKey(s.PublicKey(), k.pub) || g[0].Comment != "me@home" || g[0].Certificate != nil ||
					g[0].ConfirmBeforeUse != tt.add.Confirm || g[0].LifetimeSecs != uint32(tt.add.Lifetime/time.Second) {
					t.Errorf("given %+v, %v", g[0], err)
				}
			}
		})
	}
}

// Of a certificate ssh adds the plain key, and once: also where the server wants
// two signatures of it.
func TestAddKeysWithCertificate(t *testing.T) {
	k, ca, ring := newKey(t, "k"), newKey(t, "ca"), newTaking()
	path := k.file(t, "")
	writePublic(t, path+"-cert.pub", k.cert(t, ca))
	cfg := usual()
	cfg.IdentityFiles, cfg.AgentSocket, cfg.AddKeys = []string{path}, serveAgent(t, ring), AddKeys{Add: true}
	if _, err := (&server{accept: []*key{k, ca}, then: []string{"key"}}).login(t, cfg); err != nil {
		t.Fatal(err)
	}
	if len(ring.given) != 1 || ring.given[0].Certificate != nil || ring.given[0].Comment != path {
		t.Errorf("given %+v", ring.given)
	}
}

// A file that only ssh-add reads goes into the person's own agent at once, and
// not into ours.
func TestAddForeignKeyToAgent(t *testing.T) {
	for _, tt := range []struct {
		answers []string
		add     AddKeys
		given   int
		left    int // in our own agent
	}{
		{[]string{"pass"}, AddKeys{Add: true, Lifetime: time.Minute}, 1, 0},
		{[]string{"yes", "wrong", "pass"}, AddKeys{Add: true, Ask: true}, 1, 0},
		{[]string{"no", "pass"}, AddKeys{Add: true, Ask: true}, 0, 1},
	} {
		p, ring := newPrivate(t), newTaking()
		path, k := keygen(t, "-t", "ed25519", "-Z", gcm, "-N", "pass")
		who := &person{answers: slices.Clone(tt.answers)}
		cfg := usual()
		cfg.IdentityFiles, cfg.AgentSocket, cfg.AddKeys, cfg.Ask = []string{path}, serveAgent(t, ring), tt.add, who.ask
		cfg.Private, cfg.Remember = p, Forever
		used, err := (&server{accept: []*key{k}}).login(t, cfg)
		wantUsed(t, used, err, "publickey "+ssh.FingerprintSHA256(k.pub)+" ("+path+")")
		if len(ring.given) != tt.given || p.inAgent(t) != tt.left || len(who.answers) != 0 {
			t.Errorf("%+v: %d given, %d in ours, asked %q", tt, len(ring.given), p.inAgent(t), who.texts())
		}
		if tt.given == 1 && ring.given[0].LifetimeSecs != uint32(tt.add.Lifetime/time.Second) {
			t.Errorf("given %+v", ring.given[0])
		}
	}
}

func TestRequiredRSASize(t *testing.T) {
	small, other := newRSA(t, "small"), newEC(t, "other")
	path := small.file(t, "")
	for _, inAgent := range []bool{false, true} {
		for size, ok := range map[int]bool{0: true, 2048: true, 2049: false} {
			s := &server{accept: []*key{small}, known: []*key{other}}
			cfg := usual()
			cfg.IdentityFiles, cfg.RequiredRSASize = []string{path, other.file(t, "")}, size
			if inAgent {
				cfg.IdentityFiles, cfg.AgentSocket = nil, serveAgent(t, ringOf(t, small, other))
			}
			_, err := s.login(t, cfg)
			if (err == nil) != ok {
				t.Errorf("%d: %v", size, err)
			}
			if !ok {
				if want := "key " + ssh.FingerprintSHA256(small.pub) + ": it has 2048 bits, and RequiredRSASize is 2049"; !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v", err)
				}
				s.expect(t, "offer other")
			}
		}
	}
}
