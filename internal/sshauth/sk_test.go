package sshauth

import (
	"bytes"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// skFile writes the file of a security key that exists nowhere (PROTOCOL.u2f).
func skFile(t testing.TB) (string, *key) {
	t.Helper()
	point := make([]byte, 32)
	rand.Read(point)
	const kind, application = "sk-ssh-ed25519@openssh.com", "ssh:"
	public := ssh.Marshal(struct {
		Kind        string
		Point       []byte
		Application string
	}{kind, point, application})
	private := ssh.Marshal(struct {
		Check, Again uint32
		Kind         string
		Point        []byte
		Application  string
		Flags        byte
		Handle, None []byte
		Comment      string
	}{7, 7, kind, point, application, 1, []byte("handle"), nil, "sk"})
	for i := byte(1); len(private)%8 != 0; i++ {
		private = append(private, i)
	}
	file := append([]byte(openSSHMagic), ssh.Marshal(struct {
		Cipher, KDF, Options string
		Keys                 uint32
		Public, Private      []byte
	}{"none", "none", "", 1, public, private})...)
	path := filepath.Join(t.TempDir(), "id_sk")
	write(t, path, pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: file}))
	pub, err := ssh.ParsePublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return path, &key{name: "sk", pub: pub}
}

// The file of a security key goes to the private agent, the person is told to
// touch the key, and one that is not plugged in costs this key alone. A login
// that nobody waits for leaves it alone.
func TestSecurityKeyFile(t *testing.T) {
	p := newPrivate(t)
	path, k := skFile(t)
	next := newKey(t, "next")
	var notices []string
	waits := 0
	cfg := usual()
	cfg.IdentityFiles, cfg.Private, cfg.Remember = []string{path, next.file(t, "")}, p, Forever
	cfg.Notice = func(text string) { notices = append(notices, text) }
	cfg.Waiting = func() func() { waits++; return func() { waits += 10 } }
	s := &server{accept: []*key{k, next}}
	used, err := s.login(t, cfg)
	if err != nil || !strings.Contains(used, ssh.FingerprintSHA256(next.pub)) {
		t.Errorf("used %q, %v", used, err)
	}
	s.expect(t, "offer sk", "offer next", "sign next ssh-ed25519")
	if want := []string{"Confirm user presence for key " + ssh.FingerprintSHA256(k.pub)}; !slices.Equal(notices, want) || waits%11 != 0 || waits == 0 || p.inAgent(t) != 1 {
		t.Errorf("notices %q, waits %d, %d keys", notices, waits, p.inAgent(t))
	}
	cfg.IdentityFiles, cfg.Background = []string{path}, true
	_, err = (&server{accept: []*key{k}}).login(t, cfg)
	if !errors.Is(err, ErrNobody) || !strings.Contains(err.Error(), "needs a touch") || len(notices) != 1 {
		t.Errorf("background: %v, notices %q", err, notices)
	}
}

func TestSecurityKeyProvider(t *testing.T) {
	path, k := skFile(t)
	l := New(t.Context(), Config{SecurityKeyProvider: "/lib/sk.so"})
	if got := l.skArgs(readKeyFile(path)); !slices.Equal(got, []string{"-S", "/lib/sk.so"}) {
		t.Errorf("%q", got)
	}
	if got := l.skArgs(readKeyFile(newKey(t, "plain").file(t, ""))); got != nil {
		t.Errorf("not a security key: %q", got)
	}
	if !bytes.Contains([]byte(k.pub.Type()), []byte("sk-")) {
		t.Error(k.pub.Type())
	}
}
