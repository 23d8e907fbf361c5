package sshauth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// softToken makes a smart card of software with one key, known by its HOME, and
// returns its library and the key.
func softToken(t testing.TB) (string, *key) {
	t.Helper()
	const util = "softhsm2-util"
	lib, err := filepath.EvalSymlinks(sshtest.SoftHSM(t))
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	tokens := filepath.Join(home, "tokens")
	if err := errors.Join(os.MkdirAll(filepath.Join(home, ".config/softhsm2"), 0o700), os.Mkdir(tokens, 0o700)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, ".config/softhsm2/softhsm2.conf"), []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"))
	pem := filepath.Join(home, "k")
	if out, err := exec.Command(sshtest.Program(t, "ssh-keygen"), "-q", "-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", "", "-f", pem).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pub, err := readPublic(pem + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--init-token", "--free", "--label", "card", "--pin", "1234", "--so-pin", "5678"},
		{"--import", pem, "--token", "card", "--label", "login", "--id", "01", "--pin", "1234"},
	} {
		if out, err := exec.Command(util, args...).CombinedOutput(); err != nil {
			sshtest.Lacks(t, "softhsm2-util", fmt.Errorf("one that does %v: %v: %s", args, err, out))
		}
	}
	return lib, &key{name: "card", pub: pub}
}

func TestToken(t *testing.T) {
	lib, k := softToken(t)
	p, ca, file := newPrivate(t), newKey(t, "ca"), newKey(t, "file")
	named := filepath.Join(t.TempDir(), "named.pub")
	writePublic(t, named, k.pub)
	certFile := filepath.Join(t.TempDir(), "cert.pub")
	writePublic(t, certFile, k.cert(t, ca))
	question := "Enter PIN for '" + lib + "': "
	for _, tt := range []struct {
		name    string
		accept  *key
		answers []string
		edit    func(*Config)
		asked   int
		used    string // or the error, behind a "!"
		offers  []string
	}{
		{"wrong PIN", k, []string{"4321", "1234"}, nil, 1, "!PKCS#11 " + lib + ": the PIN was wrong, or the library is of no use: ssh-add: ", nil},
		{"no library", k, nil, func(c *Config) { c.PKCS11Provider = "/none.so" }, 0, "!PKCS#11 /none.so: no such file", nil},
		{"no path", k, nil, func(c *Config) { c.PKCS11Provider = "p11.so" }, 0, "!PKCS#11 p11.so: name the library by its full path", nil},
		{"nobody", k, nil, nil, 1, "!PKCS#11 " + lib + " needs a PIN and nobody could be asked", nil},
		{"background", k, []string{"1234"}, func(c *Config) { c.Background = true }, 0, "!needs a PIN and nobody", nil},
		{"no PIN", k, []string{""}, nil, 1, "!PKCS#11 " + lib + ": ", nil},
		{"for this login", k, []string{"1234"}, func(c *Config) { c.Remember = 0 }, 1, "publickey " + ssh.FingerprintSHA256(k.pub) + " (" + lib + ")", nil},
		{"IdentitiesOnly", k, []string{"1234"}, func(c *Config) { c.IdentitiesOnly, c.Remember = true, 0 }, 1, "!Permission denied", nil},
		{"before files", k, []string{"1234"}, func(c *Config) { c.IdentityFiles = []string{file.file(t, "")} }, 1,
			"publickey " + ssh.FingerprintSHA256(k.pub) + " (" + lib + ")", []string{"offer card", "sign card rsa-sha2-512"}},
		{"kept", k, nil, func(c *Config) { c.Background = true }, 0, "publickey " + ssh.FingerprintSHA256(k.pub) + " (" + lib + ")", nil},
		{"IdentitiesOnly, named", k, nil, func(c *Config) { c.IdentitiesOnly, c.IdentityFiles = true, []string{named} }, 0,
			"publickey " + ssh.FingerprintSHA256(k.pub) + " (" + lib + ")", nil},
		{"certificate", ca, nil, func(c *Config) { c.CertificateFiles = []string{certFile} }, 0,
			"publickey " + ssh.FingerprintSHA256(k.pub) + " (certificate) (" + lib + ")", nil},
		{"behind the agent", file, nil, func(c *Config) { c.AgentSocket = serveAgent(t, ringOf(t, file)) }, 0, "publickey " + ssh.FingerprintSHA256(file.pub) + " (agent)", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			who := &person{answers: slices.Clone(tt.answers)}
			cfg := usual()
			cfg.Password, cfg.Keyboard = false, false
			cfg.PKCS11Provider, cfg.Private, cfg.Remember, cfg.Ask = lib, p, Forever, who.ask
			if tt.edit != nil {
				tt.edit(&cfg)
			}
			s := &server{accept: []*key{tt.accept}, known: []*key{k, file, ca}}
			used, err := s.login(t, cfg)
			if want, bad := strings.CutPrefix(tt.used, "!"); !bad {
				wantUsed(t, used, err, want)
			} else if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want %q", err, want)
			}
			if len(who.asked) != tt.asked || tt.asked > 0 && who.asked[0].Text != question {
				t.Errorf("asked %q", who.texts())
			}
			if tt.offers != nil {
				s.expect(t, tt.offers...)
			}
			if cfg.Remember == 0 && p.inAgent(t) != 0 {
				t.Errorf("%d keys left", p.inAgent(t))
			}
		})
	}
}

// Two logins that want the same card at once: one PIN, and both get in.
func TestTokenForTwo(t *testing.T) {
	lib, k := softToken(t)
	p := newPrivate(t)
	for _, remember := range []time.Duration{Forever, 0} {
		asked := make(chan chan string, 2)
		done := make(chan error, 2)
		for range 2 {
			cfg := usual()
			cfg.PKCS11Provider, cfg.Private, cfg.Remember = lib, p, remember
			cfg.Ask = func(context.Context, Question) (string, error) {
				answer := make(chan string)
				asked <- answer
				return <-answer, nil
			}
			c := (&server{accept: []*key{k}}).serve(t)
			go func() { _, err := handshake(t, t.Context(), c, cfg); done <- err }()
		}
		(<-asked) <- "1234"
		for range 2 {
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("%v: %v", remember, err)
				}
			case answer := <-asked:
				if remember == Forever {
					t.Error("asked twice")
				}
				answer <- "1234" // the first one was through already
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		if remember == Forever {
			p.mu.Lock()
			p.end() // for the next round
			p.mu.Unlock()
		}
	}
}
