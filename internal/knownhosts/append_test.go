package knownhosts

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestAppendMakesWhatIsMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".ssh")
	file := filepath.Join(dir, "known_hosts")
	key := newEd(t).PublicKey()
	if err := Append(file, []string{"[host]:2222", "[192.0.2.1]:2222"}, key, false); err != nil {
		t.Fatal(err)
	}
	if got, want := readFile(t, file), "[host]:2222,[192.0.2.1]:2222 "+formatKey(key)+"\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, file: 0o600} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	if err := Append(filepath.Join(dir, "no", "such", "f"), []string{"h"}, key, false); err == nil {
		t.Error("made more than one directory")
	}
}

func TestAppendKeepsAndNeverRepeats(t *testing.T) {
	a, b := newEd(t).PublicKey(), newEd(t).PublicKey()
	old := "# mine\ngarbage\nh " + formatKey(a) // no last newline
	file := writeFile(t, old)
	for range 2 {
		for _, hash := range []bool{false, true} {
			for _, k := range []ssh.PublicKey{a, b} {
				if err := Append(file, []string{"h", "192.0.2.1"}, k, hash); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	want := old + "\n192.0.2.1 " + formatKey(a) + "\nh,192.0.2.1 " + formatKey(b) + "\n"
	if got := readFile(t, file); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAppendHashed(t *testing.T) {
	key := newEd(t).PublicKey()
	file := writeFile(t, "")
	q := Query{Host: "h", Port: 2222, Address: "192.0.2.1"}
	for range 2 {
		if err := Append(file, []string{q.Name(), q.AddressName()}, key, true); err != nil {
			t.Fatal(err)
		}
	}
	text := readFile(t, file)
	if strings.Count(text, "\n") != 2 || strings.Count(text, hashMagic) != 2 || strings.Contains(text, "192") {
		t.Errorf("wrote\n%s", text)
	}
	s, notes := Load([]string{file}, nil)
	if r, a := s.Check(q, key), s.CheckAddress(q, key); r.Status != Known || a.Status != Known || len(notes) > 0 {
		t.Errorf("%+v, %+v, %v", r, a, notes)
	}
}

// A key that is known for other names, by a CA line or as revoked is not
// written down by that.
func TestAppendIsNotFooledByMarkers(t *testing.T) {
	key := newEd(t).PublicKey()
	file := writeFile(t, "@cert-authority h "+formatKey(key)+"\nx "+formatKey(key)+"\n")
	if err := Append(file, []string{"h"}, key, false); err != nil {
		t.Fatal(err)
	}
	if s, _ := Load([]string{file}, nil); s.Check(Query{Host: "h"}, key).Status != Known {
		t.Errorf("wrote\n%s", readFile(t, file))
	}
}

func TestAppendRefusesCertificates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := Append(file, []string{"h"}, hostCert(t, newEd(t), newEd(t), nil), false); err == nil {
		t.Error("wrote a certificate")
	}
}

// Ten logins that meet the same new host at once add one line.
func TestAppendAtOnce(t *testing.T) {
	key := newEd(t).PublicKey()
	file := writeFile(t, "")
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := Append(file, []string{"h"}, key, true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := strings.Count(readFile(t, file), "\n"); n != 1 {
		t.Errorf("%d lines", n)
	}
}
