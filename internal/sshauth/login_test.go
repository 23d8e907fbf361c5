package sshauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func wantUsed(t *testing.T, used string, err error, want string) {
	t.Helper()
	if err != nil || used != want {
		t.Errorf("used %q, %v, want %q", used, err, want)
	}
}

func TestKeyFile(t *testing.T) {
	for _, k := range []*key{newKey(t, "ed"), newEC(t, "ec"), newRSA(t, "rsa")} {
		s := &server{accept: []*key{k}}
		cfg := usual()
		path := k.file(t, "")
		cfg.IdentityFiles = []string{path}
		used, err := s.login(t, cfg)
		wantUsed(t, used, err, "publickey "+ssh.FingerprintSHA256(k.pub)+" ("+path+")")
		algorithm := k.pub.Type()
		if k.name == "rsa" {
			algorithm = ssh.KeyAlgoRSASHA512
		}
		s.expect(t, "offer "+k.name, "sign "+k.name+" "+algorithm)
	}
}

// A server that knows SHA-1 only gets no RSA signature, unless it is allowed.
func TestRSAWithSHA1(t *testing.T) {
	k := newRSA(t, "rsa")
	cfg := usual()
	cfg.IdentityFiles = []string{k.file(t, "")}
	s := &server{accept: []*key{k}, sha1: true}
	if _, err := s.login(t, cfg); !errors.Is(err, ErrDenied) {
		t.Errorf("error = %v", err)
	}
	s.expect(t)
	cfg.PubkeyAlgorithms = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSA}
	s = &server{accept: []*key{k}, sha1: true}
	if _, err := s.login(t, cfg); err != nil {
		t.Error(err)
	}
	s.expect(t, "offer rsa", "sign rsa ssh-rsa")
}

// The order of everything at once, to the last refusal.
func TestOrderOnTheWire(t *testing.T) {
	a, b, c, d := newKey(t, "a"), newKey(t, "b"), newRSA(t, "c"), newKey(t, "d")
	s := &server{known: []*key{a, b, c, d}, password: "right", answers: []string{"yes"}}
	p := &person{answers: []string{"no", "no", "no", "bad", "bad", "bad"}}
	cfg := usual()
	cfg.Ask = p.ask
	cfg.AgentSocket = serveAgent(t, ringOf(t, d, b))
	cfg.IdentityFiles = []string{a.file(t, ""), b.file(t, ""), c.file(t, "")}
	_, err := s.login(t, cfg)
	s.expect(t, "offer b", "offer d", "offer a", "offer c",
		"answer no", "answer no", "answer no", "password bad", "password bad", "password bad")
	if !errors.Is(err, ErrDenied) || errors.Is(err, ErrNobody) {
		t.Errorf("error = %v", err)
	}
	if want := "me@h: Permission denied (publickey,password,keyboard-interactive)"; !sameMethods(err.Error(), want) {
		t.Errorf("error = %v", err)
	}
}

// sameMethods compares the line but for the order of the server's methods.
func sameMethods(a, b string) bool {
	split := func(s string) []string {
		f := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("(,)", r) })
		slices.Sort(f)
		return f
	}
	return slices.Equal(split(a), split(b))
}

func TestPreferredAndAllowedMethods(t *testing.T) {
	k := newKey(t, "k")
	for _, tt := range []struct {
		name string
		edit func(*Config)
		want []string
	}{
		{"password first", func(c *Config) { c.Preferred = []string{"password", "publickey"} }, []string{"password right"}},
		{"unknown methods", func(c *Config) { c.Preferred = []string{"gssapi-with-mic", "hostbased", "publickey"} },
			[]string{"offer k", "sign k ssh-ed25519"}},
		{"no pubkey", func(c *Config) { c.Pubkey = false }, []string{"answer right"}},
		{"password only", func(c *Config) { c.Pubkey, c.Keyboard = false, false }, []string{"password right"}},
		{"nothing", func(c *Config) { c.Pubkey, c.Keyboard, c.Password = false, false, false }, nil},
		{"no prompts", func(c *Config) { c.Pubkey, c.NumberOfPasswordPrompts = false, 0 }, nil},
	} {
		s := &server{accept: []*key{k}, password: "right", answers: []string{"right"}}
		cfg := usual()
		cfg.Ask = (&person{answers: []string{"right"}}).ask
		cfg.IdentityFiles = []string{k.file(t, "")}
		tt.edit(&cfg)
		_, err := s.login(t, cfg)
		t.Log(tt.name)
		s.expect(t, tt.want...)
		if (err == nil) != (tt.want != nil) {
			t.Errorf("%v", err)
		}
	}
}

func TestKeyThenPassword(t *testing.T) {
	k := newKey(t, "k")
	s := &server{accept: []*key{k}, password: "right", then: []string{"password"}}
	p := &person{answers: []string{"wrong", "right"}}
	cfg := usual()
	cfg.Ask = p.ask
	cfg.IdentityFiles = []string{k.file(t, "")}
	used, err := s.login(t, cfg)
	wantUsed(t, used, err, "publickey "+ssh.FingerprintSHA256(k.pub)+" ("+cfg.IdentityFiles[0]+"), password")
	s.expect(t, "offer k", "sign k ssh-ed25519", "password wrong", "password right")
}

// A step that succeeded gives the next one its full number of tries.
func TestTriesBeginAgain(t *testing.T) {
	k := newKey(t, "k")
	s := &server{accept: []*key{k}, password: "right", then: []string{"password", "password"}}
	cfg := usual()
	cfg.NumberOfPasswordPrompts = 1
	cfg.Ask = (&person{answers: []string{"right", "right"}}).ask
	cfg.IdentityFiles = []string{k.file(t, "")}
	if _, err := s.login(t, cfg); err != nil {
		t.Error(err)
	}
	s.expect(t, "offer k", "sign k ssh-ed25519", "password right", "password right")
}

// Two keys wanted: the second round begins with what was not offered yet,
// comes back to what was refused, and leaves out what was used up.
func TestKeyThenKey(t *testing.T) {
	a, b, c := newKey(t, "a"), newKey(t, "b"), newKey(t, "c")
	s := &server{known: []*key{a, b, c}, accept: []*key{b}, then: []string{"key"}}
	cfg := usual()
	cfg.IdentityFiles = []string{a.file(t, ""), b.file(t, ""), c.file(t, "")}
	_, err := s.login(t, cfg)
	if !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
	s.expect(t, "offer a", "offer b", "sign b ssh-ed25519", "offer c", "offer a")
}

// A key that was taken and then could not sign is not asked to in a later round.
func TestDeadKeyStaysDead(t *testing.T) {
	a, b := newKey(t, "a"), newKey(t, "b")
	s := &server{accept: []*key{a, b}, then: []string{"key"}}
	cfg := usual()
	cfg.AgentSocket = serveAgent(t, &fakeAgent{ExtendedAgent: ringOf(t, a).(agent.ExtendedAgent),
		sign: func(ssh.PublicKey, []byte) (*ssh.Signature, error) { return nil, errors.New("declined") }})
	cfg.IdentityFiles = []string{b.file(t, "")}
	if _, err := s.login(t, cfg); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
	s.expect(t, "offer a", "offer b", "sign b ssh-ed25519")
}

func TestCertificates(t *testing.T) {
	ca, k := newKey(t, "ca"), newKey(t, "k")
	cert := k.cert(t, ca)
	for _, tt := range []struct {
		name                       string
		agent, beside, given, file bool
		want                       []string
	}{
		{"beside the key", false, true, false, true, []string{"offer k", "offer k-cert", "sign k-cert ssh-ed25519"}},
		{"CertificateFile", false, false, true, true, []string{"offer k-cert", "sign k-cert ssh-ed25519"}},
		{"CertificateFile, key in the agent", true, false, true, false, []string{"offer k-cert", "sign k-cert ssh-ed25519"}},
		{"CertificateFile without a key", false, false, true, false, nil},
	} {
		s := &server{accept: []*key{ca}, known: []*key{k}}
		cfg := usual()
		cfg.IdentitiesOnly = true
		path := k.file(t, "")
		if tt.file {
			cfg.IdentityFiles = []string{path}
		}
		if tt.beside {
			writePublic(t, path+"-cert.pub", cert)
		}
		if tt.given {
			cfg.CertificateFiles = []string{path + "-mine"}
			writePublic(t, path+"-mine", cert)
		}
		if tt.agent {
			cfg.AgentSocket = serveAgent(t, ringOf(t, k))
		}
		_, err := s.login(t, cfg)
		t.Log(tt.name)
		s.expect(t, tt.want...)
		if tt.want == nil && (err == nil || !strings.Contains(err.Error(), "neither a file nor the agent")) || tt.want != nil && err != nil {
			t.Error(err)
		}
	}
}

func TestBadCertificateFiles(t *testing.T) {
	k := newKey(t, "k")
	path := k.file(t, "")
	writePublic(t, path+".pub", k.pub)
	cfg := usual()
	cfg.CertificateFiles = []string{path + "-none", path + ".pub", path}
	_, err := (&server{}).login(t, cfg)
	for _, want := range []string{"-none: no such file", ".pub: it is not a certificate for users", path + ": no key found"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

// What the agent has is not offered a second time from a file: a server that
// counts to six would hang up before the password.
func TestNothingIsOfferedTwice(t *testing.T) {
	a, b, c := newKey(t, "a"), newKey(t, "b"), newKey(t, "c")
	s := &server{known: []*key{a, b, c}, password: "right", tries: 5}
	cfg := usual()
	cfg.Ask = (&person{answers: []string{"right"}}).ask
	cfg.AgentSocket = serveAgent(t, ringOf(t, a, b))
	cfg.IdentityFiles = []string{a.file(t, ""), b.file(t, "pass"), c.file(t, ""), a.file(t, "")}
	if used, err := s.login(t, cfg); err != nil || used != "password" {
		t.Errorf("%q, %v", used, err)
	}
	s.expect(t, "offer a", "offer b", "offer c", "password right")
}

func TestTooManyKeys(t *testing.T) {
	var keys []*key
	for i := range 8 {
		keys = append(keys, newKey(t, fmt.Sprint(i)))
	}
	s := &server{known: keys, tries: 6, password: "right"}
	cfg := usual()
	cfg.AgentSocket = serveAgent(t, ringOf(t, keys...))
	_, err := s.login(t, cfg)
	if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "IdentitiesOnly") {
		t.Errorf("error = %v", err)
	}
	for i := range 60 {
		keys = append(keys, newKey(t, fmt.Sprint(i)))
	}
	s = &server{known: keys, password: "right"}
	cfg.AgentSocket = serveAgent(t, ringOf(t, keys...))
	cfg.Ask = (&person{answers: []string{"right"}}).ask
	if used, err := s.login(t, cfg); err != nil || used != "password" {
		t.Errorf("an agent with %d keys: %q, %v", len(keys), used, err)
	}
}

func TestNoLoginNeeded(t *testing.T) {
	used, err := (&server{open: true}).login(t, usual())
	wantUsed(t, used, err, "none")
}
