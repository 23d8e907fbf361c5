package sshauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// patience is far more than any of this takes on a loaded machine.
const patience = time.Minute

// key is a key pair with a name for the record.
type key struct {
	name string
	priv crypto.Signer
	pub  ssh.PublicKey
}

func newKey(t testing.TB, name string) *key {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyOf(t, name, priv)
}

func newRSA(t testing.TB, name string) *key {
	priv, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return keyOf(t, name, priv)
}

func newEC(t testing.TB, name string) *key {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyOf(t, name, priv)
}

func keyOf(t testing.TB, name string, priv crypto.Signer) *key {
	t.Helper()
	pub, err := ssh.NewPublicKey(priv.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &key{name, priv, pub}
}

func (k *key) signer(t testing.TB) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(k.priv)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// cert has k signed by ca, for the user "me".
func (k *key) cert(t testing.TB, ca *key) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{Key: k.pub, CertType: ssh.UserCert, ValidPrincipals: []string{"me"}, ValidBefore: ssh.CertTimeInfinity}
	if err := c.SignCert(rand.Reader, ca.signer(t)); err != nil {
		t.Fatal(err)
	}
	return c
}

// file writes the private key, encrypted if pass is not empty.
func (k *key) file(t testing.TB, pass string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), k.name)
	block, err := ssh.MarshalPrivateKey(k.priv, k.name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, pem.EncodeToMemory(block))
	if pass != "" {
		k.encrypt(t, path, pass)
	}
	return path
}

// encrypt leaves the work to ssh-keygen where there is one, as it can be told
// to derive the key in one round: x/crypto's sixteen take seconds under the
// race detector, at each reading.
func (k *key) encrypt(t testing.TB, path, pass string) {
	t.Helper()
	if exec.Command("ssh-keygen", "-q", "-p", "-a", "1", "-P", "", "-N", pass, "-f", path).Run() == nil {
		return
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(k.priv, k.name, []byte(pass))
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, pem.EncodeToMemory(block))
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func writePublic(t testing.TB, path string, pub ssh.PublicKey) {
	t.Helper()
	write(t, path, ssh.MarshalAuthorizedKey(pub))
}

// serveAgent puts a keyring behind a socket.
func serveAgent(t testing.TB, ring agent.Agent) string {
	t.Helper()
	return serveSocket(t, func(c net.Conn) { agent.ServeAgent(ring, c) })
}

func serveSocket(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "a") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ln, err := net.Listen("unix", dir+"/s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return dir + "/s"
}

func ringOf(t testing.TB, keys ...*key) agent.Agent {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		if err := ring.Add(agent.AddedKey{PrivateKey: k.priv, Comment: k.name}); err != nil {
			t.Fatal(err)
		}
	}
	return ring
}

// server is an SSH server that records what it is asked.
type server struct {
	accept   []*key // by their public keys, and by certificates that they signed
	password string
	then     []string // after a key: another "key", or a "password"
	tries    int      // MaxAuthTries; 0 is any number
	answers  []string // keyboard-interactive, one question each
	intro    [2]string
	open     bool   // to everybody
	known    []*key // for the record
	sha1     bool

	mu     sync.Mutex
	record []string
	used   map[string]bool
}

func (s *server) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = append(s.record, fmt.Sprintf(format, args...))
}

func (s *server) name(k ssh.PublicKey) string {
	for _, known := range slices.Concat(s.known, s.accept) {
		if sameKey(known.pub, plainKey(k)) {
			if isCert(k) {
				return known.name + "-cert"
			}
			return known.name
		}
	}
	return "?"
}

func (s *server) takes(k ssh.PublicKey) bool {
	if s.used[blob(k)] {
		return false
	}
	want := k
	if c, ok := k.(*ssh.Certificate); ok {
		want = c.SignatureKey
	}
	return slices.ContainsFunc(s.accept, func(a *key) bool { return sameKey(a.pub, want) })
}

var errRefused = errors.New("refused")

func (s *server) checkPassword(_ ssh.ConnMetadata, pass []byte) (*ssh.Permissions, error) {
	s.note("password %s", pass)
	if string(pass) != s.password {
		return nil, errRefused
	}
	return s.step(nil)
}

func (s *server) checkKey(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
	s.note("offer %s", s.name(k))
	if !s.takes(k) {
		return nil, errRefused
	}
	return nil, nil
}

func (s *server) verified(_ ssh.ConnMetadata, k ssh.PublicKey, p *ssh.Permissions, algorithm string) (*ssh.Permissions, error) {
	s.note("sign %s %s", s.name(k), algorithm)
	s.used[blob(k)] = true
	return s.step(p)
}

// step asks for what comes next, if anything does.
func (s *server) step(p *ssh.Permissions) (*ssh.Permissions, error) {
	if len(s.then) == 0 {
		return p, nil
	}
	next := s.then[0]
	s.then = s.then[1:]
	// A fresh closure, as the cache of x/crypto's server would answer for the old.
	if next == "key" {
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{PublicKeyCallback: s.checkKey}}
	}
	return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{PasswordCallback: s.checkPassword}}
}

func (s *server) challenge(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	for i, want := range s.answers {
		got, err := ask(s.intro[0], s.intro[1], []string{fmt.Sprintf("Question %d: ", i)}, []bool{i > 0})
		if err != nil {
			return nil, err
		}
		s.note("answer %s", got[0])
		if got[0] != want {
			return nil, errRefused
		}
	}
	ask("", "Welcome", nil, nil)
	return nil, nil
}

func (s *server) config(t testing.TB) *ssh.ServerConfig {
	s.used = map[string]bool{}
	c := &ssh.ServerConfig{MaxAuthTries: s.tries, NoClientAuth: s.open}
	if s.tries == 0 {
		c.MaxAuthTries = -1
	}
	c.PublicKeyCallback, c.VerifiedPublicKeyCallback = s.checkKey, s.verified
	if s.sha1 {
		c.PublicKeyAuthAlgorithms = []string{ssh.KeyAlgoRSA}
	}
	if s.password != "" && len(s.then) == 0 {
		c.PasswordCallback = s.checkPassword
	}
	if s.answers != nil {
		c.KeyboardInteractiveCallback = s.challenge
	}
	c.AddHostKey(newKey(t, "host").signer(t))
	return c
}

// serve starts the server and returns a connection to it.
func (s *server) serve(t testing.TB) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.config(t)
	over := make(chan struct{})
	go func() {
		defer close(over)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if sc, chans, reqs, err := ssh.NewServerConn(c, cfg); err == nil {
			go ssh.DiscardRequests(reqs)
			for ch := range chans {
				ch.Reject(ssh.Prohibited, "")
			}
			sc.Wait()
		}
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); ln.Close(); <-over })
	return c
}

// watched tells the login of the connection's end, as it must be.
type watched struct {
	net.Conn
	l *Login
}

func (w watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.l.Lost(err)
	}
	return n, err
}

// usual is a configuration with everything allowed.
func usual() Config {
	return Config{User: "me", Host: "h", Pubkey: true, Password: true, Keyboard: true, NumberOfPasswordPrompts: 3}
}

// handshake logs in on c and returns Used and the explained error.
func handshake(t testing.TB, ctx context.Context, c net.Conn, cfg Config) (string, error) {
	t.Helper()
	l := New(ctx, cfg)
	defer l.Close()
	c.SetDeadline(time.Now().Add(patience))
	conn, _, _, err := ssh.NewClientConn(watched{c, l}, "h", &ssh.ClientConfig{User: cfg.User,
		AuthCallback: l.Callback(), HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		return "", Explain(err, l)
	}
	conn.Close()
	return l.Used(), nil
}

func (s *server) login(t testing.TB, cfg Config) (string, error) {
	t.Helper()
	return handshake(t, t.Context(), s.serve(t), cfg)
}

func (s *server) expect(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.record, want) {
		t.Errorf("the server saw\n\t%s\nwant\n\t%s", strings.Join(s.record, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// person answers from a list, and records the questions.
type person struct {
	answers []string
	asked   []Question
}

func (p *person) ask(_ context.Context, q Question) (string, error) {
	p.asked = append(p.asked, q)
	if len(p.answers) == 0 {
		return "", ErrNobody
	}
	a := p.answers[0]
	p.answers = p.answers[1:]
	return a, nil
}

func (p *person) texts() []string {
	var texts []string
	for _, q := range p.asked {
		texts = append(texts, q.Text)
	}
	return texts
}
