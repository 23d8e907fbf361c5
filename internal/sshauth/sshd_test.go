package sshauth

import (
	"crypto/rand"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// startSSHD hands sshd -i one end of a connection and returns the other, so
// that there is no daemon to wait for and no port to choose. Of an option that
// stands twice sshd takes the first, so options come first.
func startSSHD(t *testing.T, authorized []*key, options ...string) net.Conn {
	t.Helper()
	sshd := sshtest.Program(t, "sshd")
	dir := t.TempDir()
	var auth []byte
	for _, k := range authorized {
		auth = append(auth, ssh.MarshalAuthorizedKey(k.pub)...)
	}
	write(t, filepath.Join(dir, "authorized"), auth)
	conf := append(options, "HostKey "+newKey(t, "host").file(t, ""), "AuthorizedKeysFile "+filepath.Join(dir, "authorized"),
		"StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PidFile none",
		"PermitRootLogin yes", "LogLevel DEBUG")
	write(t, filepath.Join(dir, "config"), []byte(strings.Join(conf, "\n")+"\n"))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ours, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := theirs.(*net.TCPConn).File()
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var log strings.Builder
	cmd := exec.Command(sshd, "-i", "-e", "-f", filepath.Join(dir, "config"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ours.Close()
		cmd.Wait()
		if t.Failed() {
			t.Logf("sshd: %s", log.String())
		}
	})
	return ours
}

// TestSSHD logs in to OpenSSH: an encrypted key, the agent, a certificate, two
// keys in a row, and what it says when it has had enough.
func TestSSHD(t *testing.T) {
	sshtest.Program(t, "sshd")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if _, err := os.Stat("/run/sshd"); err != nil {
			if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, b, r, ca := newKey(t, "a"), newEC(t, "b"), newRSA(t, "r"), newKey(t, "ca")
	caFile := filepath.Join(t.TempDir(), "ca.pub")
	writePublic(t, caFile, ca.pub)
	cert := r.cert(t, ca)
	cert.ValidPrincipals = []string{me.Username}
	if err := cert.SignCert(rand.Reader, ca.signer(t)); err != nil {
		t.Fatal(err)
	}
	certified := r.file(t, "")
	writePublic(t, certified+"-cert.pub", cert)
	many := []*key{newKey(t, "1"), newKey(t, "2"), newKey(t, "3")}
	for _, tt := range []struct {
		name    string
		options []string
		agent   []*key
		files   []string
		answers []string
		want    string // in Used, or in the error if it begins with "!"
	}{
		{"encrypted", nil, nil, []string{a.file(t, "pass")}, []string{"pass"}, ssh.FingerprintSHA256(a.pub)},
		{"encrypted, nobody", nil, nil, []string{a.file(t, "pass")}, nil, "!needs a passphrase and nobody"},
		{"agent", nil, []*key{r}, nil, nil, ssh.FingerprintSHA256(r.pub) + " (agent)"},
		{"certificate", []string{"TrustedUserCAKeys " + caFile, "AuthorizedKeysFile none"}, nil, []string{certified}, nil, "(certificate)"},
		{"two keys", []string{"AuthenticationMethods publickey,publickey"}, []*key{b}, []string{a.file(t, ""), b.file(t, "")}, nil, "(agent), publickey"},
		{"too many", []string{"MaxAuthTries 2"}, many, nil, nil, "!IdentitiesOnly"},
		{"refused", nil, many[:1], nil, nil, "!Permission denied (publickey)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := usual()
			cfg.User = me.Username
			cfg.IdentityFiles = tt.files
			if tt.agent != nil {
				cfg.AgentSocket = serveAgent(t, ringOf(t, tt.agent...))
			}
			if tt.answers != nil {
				cfg.Ask = (&person{answers: tt.answers}).ask
			}
			used, err := handshake(t, t.Context(), startSSHD(t, []*key{a, b, r}, tt.options...), cfg)
			fault, bad := strings.CutPrefix(tt.want, "!")
			switch {
			case bad && (err == nil || !strings.Contains(err.Error(), fault)):
				t.Errorf("error = %v, want %q", err, fault)
			case bad && !errors.Is(err, ErrDenied) && !errors.Is(err, ErrNobody):
				t.Errorf("error = %v is of no kind", err)
			case !bad && (err != nil || !strings.Contains(used, tt.want)):
				t.Errorf("%q, %v, want %q", used, err, tt.want)
			}
		})
	}
}
