package sshauth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

func TestPassphrase(t *testing.T) {
	k := newKey(t, "k")
	path := k.file(t, "right")
	prompt := "Enter passphrase for key '" + path + "': "
	for _, tt := range []struct {
		name    string
		refuse  bool
		answers []string
		asked   int
		want    string // "": logged in
	}{
		{"right", false, []string{"right"}, 1, ""},
		{"third time", false, []string{"wrong", "wrong", "right"}, 3, ""},
		{"never", false, []string{"a", "b", "c", "d"}, 3, "no passphrase given was right"},
		{"none given", false, []string{"", "right"}, 1, "no passphrase was given"},
		{"not asked for what the server refuses", true, []string{"right"}, 0, "Permission denied"},
	} {
		s := &server{known: []*key{k}}
		if !tt.refuse {
			s.accept = s.known
		}
		p := &person{answers: tt.answers}
		cfg := usual()
		cfg.Ask = p.ask
		cfg.IdentityFiles = []string{path}
		used, err := s.login(t, cfg)
		if len(p.asked) != tt.asked || slices.ContainsFunc(p.asked, func(q Question) bool {
			return q.Text != prompt || q.KeyFile != path || q.Kind != Passphrase || q.Echo || q.Host != "me@h"
		}) {
			t.Errorf("%s: asked %+v", tt.name, p.asked)
		}
		if tt.want == "" && (err != nil || !strings.Contains(used, path)) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %q, %v", tt.name, used, err)
		}
	}
}

// A key that cannot be unlocked is followed by the next, and is not asked for
// again as its certificate.
func TestNextKeyAfterAPassphrase(t *testing.T) {
	a, b := newKey(t, "a"), newKey(t, "b")
	s := &server{accept: []*key{a, b}}
	p := &person{answers: []string{"1", "2", "3", "right"}}
	cfg := usual()
	cfg.Ask = p.ask
	path := a.file(t, "x")
	writePublic(t, path+"-cert.pub", a.cert(t, b))
	cfg.IdentityFiles = []string{path, b.file(t, "right")}
	used, err := s.login(t, cfg)
	if err != nil || !strings.HasSuffix(used, "/b)") || len(p.asked) != 4 {
		t.Errorf("%q, %v, asked %q", used, err, p.texts())
	}
}

func oldPEM(t *testing.T, pass string) (*key, string) {
	t.Helper()
	priv, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 the format is old, and so are the keys in it
	block, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(priv), []byte(pass), x509.PEMCipherAES128)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "old")
	write(t, path, pem.EncodeToMemory(block))
	return keyOf(t, "old", priv), path
}

// The old format hides the public half: without a .pub the passphrase comes
// first, with it the server does.
func TestOldFormat(t *testing.T) {
	k, path := oldPEM(t, "right")
	for _, pub := range []bool{false, true} {
		if pub {
			writePublic(t, path+".pub", k.pub)
		}
		for _, accept := range []bool{true, false} {
			s := &server{known: []*key{k}}
			if accept {
				s.accept = s.known
			}
			p := &person{answers: []string{"wrong", "right"}}
			cfg := usual()
			cfg.Ask = p.ask
			cfg.IdentityFiles = []string{path}
			_, err := s.login(t, cfg)
			if (err == nil) != accept || (len(p.asked) == 2) != (accept || !pub) {
				t.Errorf("public %v, accepted %v: %v, asked %q", pub, accept, err, p.texts())
			}
		}
	}
	cfg := usual()
	_, path = oldPEM(t, "right")
	cfg.IdentityFiles = []string{path}
	if _, err := (&server{}).login(t, cfg); !errors.Is(err, ErrNobody) {
		t.Errorf("nobody there: %v", err)
	}
}

// A key of the old format turns out, once decrypted, to be one that the agent
// offered in vain.
func TestOldFormatIsNotOfferedTwice(t *testing.T) {
	k, path := oldPEM(t, "right")
	s := &server{known: []*key{k}, tries: 2} // its record leaves out repetitions
	cfg := usual()
	cfg.Ask = (&person{answers: []string{"right"}}).ask
	cfg.AgentSocket = serveAgent(t, ringOf(t, k))
	cfg.IdentityFiles = []string{path}
	if _, err := s.login(t, cfg); !errors.Is(err, ErrDenied) || strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
	s.expect(t, "offer old")
}

// openSSHFile is a file of OpenSSH's format that ends where a passphrase would
// be needed.
func openSSHFile(cipher, kdf string, rounds uint32, pub []byte) []byte {
	options := ssh.Marshal(struct {
		Salt   string
		Rounds uint32
	}{"salt", rounds})
	body := ssh.Marshal(struct {
		Cipher, KDF string
		Options     []byte
		Keys        uint32
		Pub         []byte
		Private     string
	}{cipher, kdf, options, 1, pub, "private"})
	return pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: append([]byte(openSSHMagic), body...)})
}

func TestInspectOpenSSH(t *testing.T) {
	k := newKey(t, "k").pub.Marshal()
	sk := ssh.Marshal(struct{ Type, Key, Application string }{ssh.KeyAlgoSKED25519, strings.Repeat("k", 32), "ssh:"})
	for _, tt := range []struct {
		name  string
		data  []byte
		fault string
	}{
		{"fine", openSSHFile("aes256-ctr", "bcrypt", maxKDFRounds, k), ""},
		{"rounds", openSSHFile("aes256-ctr", "bcrypt", maxKDFRounds+1, k), "key derivation"},
		{"security key", openSSHFile("none", "none", 0, sk), "security key, which only an agent reaches: run ssh-add "},
	} {
		path := filepath.Join(t.TempDir(), "k")
		write(t, path, tt.data)
		f := readKeyFile(path)
		if f.pub == nil || (f.fault == nil) != (tt.fault == "") || f.fault != nil && !strings.Contains(f.fault.Error(), tt.fault) {
			t.Errorf("%s: %v, fault %v", tt.name, f.pub, f.fault)
		}
	}
}

// FuzzInspect holds that no file upsets the reader of keys.
func FuzzInspect(f *testing.F) {
	k := newKey(f, "k")
	f.Add([]byte("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"))
	f.Add(openSSHFile("none", "none", 0, k.pub.Marshal()))
	f.Add(openSSHFile("aes256-ctr", "bcrypt", 1, nil))
	f.Add(ssh.MarshalAuthorizedKey(k.pub))
	f.Fuzz(func(t *testing.T, data []byte) {
		kf := &keyFile{path: "k"}
		inspect(kf, data)
		if kf.pub == nil && kf.fault == nil && !kf.encrypted {
			t.Error("neither a key nor a fault")
		}
	})
}

func pkcs8(t *testing.T, k *key) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k.priv)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// bent is k's file with one word of the unencrypted part exchanged.
func bent(t *testing.T, path, old, new string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	block.Bytes = []byte(strings.Replace(string(block.Bytes), old, new, 1))
	return pem.EncodeToMemory(block)
}

func TestReadKeyFile(t *testing.T) {
	k, other := newKey(t, "k"), newKey(t, "other")
	rsa := newRSA(t, "rsa")
	plain, locked := k.file(t, ""), k.file(t, "pass")
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for _, tt := range []struct {
		name   string
		data   []byte
		beside *key
		mode   os.FileMode
		pub    *key
		fault  string
	}{
		{"plain", read(plain), nil, 0o600, k, ""},
		{"encrypted", read(locked), nil, 0o400, k, ""},
		{"pkcs8", pkcs8(t, rsa), nil, 0o600, rsa, ""},
		{"the key's own public half", read(plain), other, 0o600, k, ""},
		{"too open", read(plain), nil, 0o640, k, "its permissions 0640 are too open (chmod 600 "},
		{"too open for all", read(locked), nil, 0o604, k, "0604 are too open"},
		{"encrypted pkcs8", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}), k, 0o600, k, "run ssh-add "},
		{"cipher", bent(t, locked, "aes256-ctr", "aes256-xyz"), nil, 0o600, k, `its cipher "aes256-xyz" cannot be read here: run ssh-add `},
		{"kdf", bent(t, locked, "bcrypt", "scrypt"), nil, 0o600, k, "key derivation cannot be done here: run ssh-add "},
		{"kind", bent(t, plain, "ssh-ed25519", "ssh-ed99999"), k, 0o600, k, "its kind of key is not known here: run ssh-add "},
		{"damaged", bent(t, plain, "openssh-key", "openssh-kex"), nil, 0o600, nil, "damaged"},
		{"public", ssh.MarshalAuthorizedKey(k.pub), nil, 0o644, k, "it is a public key"},
		{"public, closed", ssh.MarshalAuthorizedKey(k.pub), nil, 0o600, k, "it is a public key"},
		{"empty", nil, nil, 0o600, nil, "holds no key"},
		{"large", make([]byte, maxKeyFile+1), nil, 0o600, nil, "too large"},
	} {
		path := filepath.Join(t.TempDir(), "k")
		write(t, path, tt.data)
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		if tt.beside != nil {
			writePublic(t, path+".pub", tt.beside.pub)
		}
		f := readKeyFile(path)
		if (f.pub == nil) != (tt.pub == nil) || f.pub != nil && !sameKey(f.pub, tt.pub.pub) {
			t.Errorf("%s: public key %v", tt.name, f.pub)
		}
		if (f.fault == nil) != (tt.fault == "") || f.fault != nil && !strings.Contains(f.fault.Error(), tt.fault) {
			t.Errorf("%s: fault %v, want %q", tt.name, f.fault, tt.fault)
		}
	}
}

func TestOddFiles(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{fifo: "regular", dir: "regular", filepath.Join(dir, "none"): "no such file"} {
		if f := readKeyFile(path); f.fault == nil || !strings.Contains(f.fault.Error(), want) {
			t.Errorf("%s: %v", path, f.fault)
		}
	}
}

// Each file's fault is in the error; but a file that was only guessed need not
// exist.
func TestFaultsAreTold(t *testing.T) {
	open := newKey(t, "open").file(t, "")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for _, guessed := range []bool{false, true} {
		s := &server{}
		cfg := usual()
		cfg.IdentityFiles = []string{open, missing}
		cfg.IdentitiesDefault = guessed
		_, err := s.login(t, cfg)
		s.expect(t)
		if err == nil || !strings.Contains(err.Error(), "key "+open+": its permissions 0644 are too open") {
			t.Errorf("error = %v", err)
		}
		if strings.Contains(err.Error(), missing+": no such file") == guessed {
			t.Errorf("guessed %v: error = %v", guessed, err)
		}
	}
}

func TestMismatchedHalves(t *testing.T) {
	k, path := oldPEM(t, "right")
	other := newKey(t, "other")
	writePublic(t, path+".pub", other.pub)
	cfg := usual()
	cfg.Ask = (&person{answers: []string{"right"}}).ask
	cfg.IdentityFiles = []string{path}
	_, err := (&server{accept: []*key{k, other}}).login(t, cfg)
	if err == nil || !strings.Contains(err.Error(), "does not match") {
		t.Errorf("error = %v", err)
	}
}

// TestSSHKeygenFormats reads what the real ssh-keygen writes.
func TestSSHKeygenFormats(t *testing.T) {
	keygen := sshtest.Program(t, "ssh-keygen")
	for _, tt := range []struct {
		name  string
		args  []string
		fault string
	}{
		{"ed25519", []string{"-t", "ed25519"}, ""},
		{"ecdsa", []string{"-t", "ecdsa", "-b", "521"}, ""},
		{"rsa", []string{"-t", "rsa", "-b", "2048"}, ""},
		{"cbc", []string{"-t", "ed25519", "-Z", "aes256-cbc"}, ""},
		{"gcm", []string{"-t", "ed25519", "-Z", "aes256-gcm@openssh.com"}, "ssh-add"},
		{"chacha", []string{"-t", "ed25519", "-Z", "chacha20-poly1305@openssh.com"}, "ssh-add"},
		{"pem", []string{"-t", "rsa", "-b", "2048", "-m", "PEM"}, ""},
		{"pkcs8", []string{"-t", "rsa", "-b", "2048", "-m", "PKCS8"}, "ssh-add"},
	} {
		path := filepath.Join(t.TempDir(), "k")
		args := append([]string{"-q", "-a", "1", "-N", "passphrase", "-f", path}, tt.args...)
		if out, err := exec.Command(keygen, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", tt.name, err, out)
		}
		f := readKeyFile(path)
		if f.pub == nil || (f.fault == nil) != (tt.fault == "") || f.fault != nil && !strings.Contains(f.fault.Error(), tt.fault) {
			t.Errorf("%s: %v, %v", tt.name, f.pub, f.fault)
			continue
		}
		if f.fault != nil {
			continue
		}
		cfg := usual()
		cfg.Ask = (&person{answers: []string{"passphrase"}}).ask
		l := New(t.Context(), cfg)
		if _, err := l.unlock(f); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		l.Close()
	}
}

// The private half must be gone after the login.
func TestCloseForgets(t *testing.T) {
	cfg := usual()
	l := New(t.Context(), cfg)
	f := readKeyFile(newKey(t, "k").file(t, ""))
	l.keys.files = []*keyFile{f}
	if _, err := l.unlock(f); err != nil || f.signer == nil {
		t.Fatal(err)
	}
	l.Close()
	if f.signer != nil {
		t.Error("kept after Close")
	}
}
