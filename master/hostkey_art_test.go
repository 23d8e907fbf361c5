package master

import (
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

func TestArtAgreesWithSSHKeygen(t *testing.T) {
	sshtest.Require(t, "ssh-keygen")
	keys := []ssh.PublicKey{ecdsaKey(t).PublicKey(), rsaKey(t).PublicKey()}
	for range 8 {
		keys = append(keys, sshtest.NewKey().PublicKey())
	}
	for i, k := range keys {
		file := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(k), 0o600); err != nil {
			t.Fatal(err)
		}
		title := fmt.Sprintf("[%s %d]", keyKind(k), keyBits(k))
		s, m := sha256.Sum256(k.Marshal()), md5.Sum(k.Marshal())
		for hash, art := range map[string]string{"sha256": drawArt(title, "[SHA256]", s[:]), "md5": drawArt(title, "[MD5]", m[:])} {
			out, err := exec.Command("ssh-keygen", "-lv", "-E", hash, "-f", file).Output()
			if err != nil {
				t.Fatal(err)
			}
			_, want, _ := strings.Cut(string(out), "\n")
			if art+"\n" != want {
				t.Errorf("%s\n%s\nwant\n%s", hash, art, want)
			}
		}
	}
}

func TestVisualHostKey(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		p := says("yes")
		if _, err := r.ask(t.Context(), p, "-o", "VisualHostKey=yes", "host", "true"); err != nil {
			t.Fatal(err)
		}
		if got := p.told(); !strings.HasPrefix(got, "Host key fingerprint is: "+ssh.FingerprintSHA256(r.srv.HostKey())+"\n+--[ED25519 256]--+\n|") {
			t.Errorf("told %q", got)
		}
		r.again()
		r.know()
		r.srv.RotateHostKey()
		if _, err := r.ask(t.Context(), p, "-o", "VisualHostKey=yes", "host", "true"); err != nil {
			t.Fatal(err)
		}
		if got := p.prompts()[0].Text; !contained(got, "\n+--[ED25519 256]--+\n", "+----[SHA256]-----+\nThis key is not known by any other names.\n") {
			t.Errorf("asked %q", got)
		}
	})
}
