package hostkey

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
