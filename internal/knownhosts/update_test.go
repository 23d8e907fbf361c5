package knownhosts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

func TestPlan(t *testing.T) {
	a, b, c, ec := newEd(t).PublicKey(), newEd(t).PublicKey(), newEd(t).PublicKey(), newEC(t).PublicKey()
	ka, kb, kc := formatKey(a), formatKey(b), formatKey(c)
	hashed := xknownhosts.HashHostname
	for _, tt := range []struct {
		name  string
		lines []string
		ip    string
		add   int // of ec and b
		del   int
		skip  string
	}{
		{"nothing new", []string{"h " + ka, "h " + kb, "h " + formatKey(ec)}, "", 0, 0, ""},
		{"two new", []string{"h " + ka}, "", 2, 0, ""},
		{"one gone", []string{"h " + ka, "h " + kc}, "", 2, 1, ""},
		{"hashed", []string{hashed("h") + " " + ka, hashed("h") + " " + kb}, "", 1, 0, ""},
		{"name and address", []string{"h,192.0.2.1 " + ka}, "192.0.2.1", 2, 0, ""},
		{"name and address, not asked", []string{"h,192.0.2.1 " + ka}, "", 2, 0, ""},
		{"another address", []string{"h,192.0.2.2 " + ka}, "192.0.2.1", 2, 0, "with others"},
		{"another name", []string{"h " + ka, "x,192.0.2.1 " + kb}, "192.0.2.1", 2, 0, "with others"},
		{"wildcard", []string{"h* " + ka}, "", 3, 0, "pattern"},
		{"list", []string{"h,x,y " + ka}, "", 3, 0, "pattern"},
		{"authority", []string{"h " + ka, "@cert-authority * " + kc}, "", 2, 0, "authority"},
		{"revoked", []string{"h " + ka, "@revoked h " + kc}, "", 2, 0, "revoked"},
		{"elsewhere", []string{"h " + ka, "x " + kb}, "", 2, 0, "another host"},
		{"gone and elsewhere", []string{"h " + ka, "h " + kc, "x " + kc}, "", 2, 1, "would go"},
		{"others", []string{"h " + ka, "x " + kc, "@revoked x " + kc}, "", 2, 0, ""},
	} {
		q := Query{Host: "h", Address: tt.ip}
		u := storeOf(t, tt.lines...).Plan(q, []ssh.PublicKey{a, ec, b})
		if len(u.New) != tt.add || len(u.Old) != tt.del || (tt.skip == "") != (u.Skip == "") || !strings.Contains(u.Skip, tt.skip) {
			t.Errorf("%s: %d new, %d old, skip %q", tt.name, len(u.New), len(u.Old), u.Skip)
		}
	}
	global := &Store{}
	global.read("g", "h "+kc, Global)
	if u := global.Plan(Query{Host: "h"}, []ssh.PublicKey{a}); len(u.New) != 1 || len(u.Old) != 0 {
		t.Errorf("the global file is nobody's to change: %+v", u)
	}
}

func TestReplace(t *testing.T) {
	a, b, c := newEd(t).PublicKey(), newEd(t).PublicKey(), newEC(t).PublicKey()
	ka, kb, kc := formatKey(a), formatKey(b), formatKey(c)
	const q1, q2 = "192.0.2.1", ""
	for _, tt := range []struct {
		name, ip  string
		was, want string // of the first file; keys a and b are the new ones
	}{
		{"empty", q2, "", "h " + ka + "\nh " + kb + "\n"},
		{"add", q2, "# mine\nh " + ka + " me\n\nx " + kc + "\n", "# mine\nh " + ka + " me\n\nx " + kc + "\nh " + kb + "\n"},
		{"no last newline", q2, "h " + ka, "h " + ka + "\nh " + kb + "\n"},
		{"remove", q2, "H " + kc + "\r\n h  " + kb + "\ngarbage\n@revoked h " + kc + "\nh " + ka + "\n",
			" h  " + kb + "\ngarbage\n@revoked h " + kc + "\nh " + ka + "\n"},
		{"address", q1, "h " + ka + "\nh,192.0.2.1 " + kc + "\n192.0.2.1 " + kb + "\n",
			"h " + ka + "\n192.0.2.1 " + kb + "\n192.0.2.1 " + ka + "\nh " + kb + "\n"},
	} {
		file := writeFile(t, tt.was)
		if err := Replace([]string{file}, Query{Host: "h", Address: tt.ip}, []ssh.PublicKey{a, b}, false); err != nil {
			t.Fatal(err)
		}
		if got := readFile(t, file); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
		if old := readFile(t, file+".old"); old != tt.was {
			t.Errorf("%s: kept\n%s", tt.name, old)
		}
	}
}

func TestReplaceHashed(t *testing.T) {
	a, c := newEd(t).PublicKey(), newEC(t).PublicKey()
	file := writeFile(t, xknownhosts.HashHostname("[h]:9")+" "+formatKey(c)+"\n")
	q := Query{Host: "h", Port: 9, Address: "192.0.2.1"}
	if err := Replace([]string{file}, q, []ssh.PublicKey{a}, true); err != nil {
		t.Fatal(err)
	}
	s, _ := Load([]string{file}, nil)
	if text := readFile(t, file); strings.Count(text, hashMagic) != 2 || strings.Count(text, "\n") != 2 ||
		s.Check(q, a).Status != Known || s.CheckAddress(q, a).Status != Known {
		t.Errorf("wrote\n%s", text)
	}
}

// The first of several files gets the keys, the others lose what they have.
func TestReplaceInSeveralFiles(t *testing.T) {
	a, b := newEd(t).PublicKey(), newEd(t).PublicKey()
	first := filepath.Join(t.TempDir(), "dir", "first")
	second := writeFile(t, "h "+formatKey(a)+"\nx "+formatKey(b)+"\n")
	files := []string{first, second, second + "-none"}
	if err := Replace(files, Query{Host: "h"}, []ssh.PublicKey{a}, false); err != nil {
		t.Fatal(err)
	}
	if got, want := readFile(t, first), "h "+formatKey(a)+"\n"; got != want {
		t.Errorf("first: %q", got)
	}
	if got, want := readFile(t, second), "x "+formatKey(b)+"\n"; got != want {
		t.Errorf("second: %q", got)
	}
	if _, err := os.Stat(files[2]); err == nil {
		t.Error("made a file that nothing goes into")
	}
	bad := []string{t.TempDir(), second}
	if err := Replace(bad, Query{Host: "x"}, []ssh.PublicKey{a}, false); err == nil {
		t.Error("replaced a directory")
	}
	if got, want := readFile(t, second), "x "+formatKey(b)+"\n"; got != want {
		t.Errorf("second, after an error with the first: %q", got)
	}
}

func TestReplaceKeepsLinkAndMode(t *testing.T) {
	a := newEd(t).PublicKey()
	target := writeFile(t, "# shared\n")
	os.Chmod(target, 0o640)
	link := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := Replace([]string{link}, Query{Host: "h"}, []ssh.PublicKey{a}, false); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Lstat(link); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", fi.Mode(), err)
	}
	if fi, err := os.Stat(target); err != nil || fi.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if got, want := readFile(t, target), "# shared\nh "+formatKey(a)+"\n"; got != want {
		t.Errorf("target: %q", got)
	}
	if left, _ := filepath.Glob(target + ".*"); len(left) != 1 || left[0] != target+".old" {
		t.Errorf("left behind: %v", left)
	}
}

// What changes nothing writes nothing: no new file, no copy of the old one.
func TestReplaceNothing(t *testing.T) {
	a := newEd(t).PublicKey()
	file := writeFile(t, "h "+formatKey(a)) // no last newline
	before, _ := os.Stat(file)
	if err := Replace([]string{file}, Query{Host: "h"}, []ssh.PublicKey{a}, false); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(file); !os.SameFile(before, after) {
		t.Error("rewrote the file")
	}
	if _, err := os.Stat(file + ".old"); err == nil {
		t.Error("kept a copy of nothing")
	}
	for _, device := range []string{os.DevNull} {
		if err := Replace([]string{device}, Query{Host: "h"}, []ssh.PublicKey{a}, false); err == nil {
			t.Error("replaced a device")
		}
		if fi, err := os.Stat(device); err != nil || fi.Mode().IsRegular() {
			t.Fatalf("%s is %v, %v", device, fi.Mode(), err)
		}
	}
}

// Appends that wait for a file's lock while it is replaced are not lost with
// the old one.
func TestReplaceAndAppendAtOnce(t *testing.T) {
	file := writeFile(t, "")
	keys := make([]ssh.PublicKey, 8)
	for i := range keys {
		keys[i] = newEd(t).PublicKey()
	}
	done := make(chan error)
	for i, k := range keys {
		go func() {
			if i%2 == 0 {
				done <- Append(file, []string{string(rune('a' + i))}, k, false)
			} else {
				done <- Replace([]string{file}, Query{Host: string(rune('a' + i))}, []ssh.PublicKey{k}, false)
			}
		}()
	}
	for range keys {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	s, _ := Load([]string{file}, nil)
	for i, k := range keys {
		if s.Check(Query{Host: string(rune('a' + i))}, k).Status != Known {
			t.Errorf("key %d is lost:\n%s", i, readFile(t, file))
		}
	}
}

func TestOtherNames(t *testing.T) {
	a, b := newEd(t).PublicKey(), newEd(t).PublicKey()
	ka := formatKey(a)
	s := storeOf(t, "h "+ka, "Other.Example,192.0.2.1 "+ka, xknownhosts.HashHostname("x")+" "+ka, "x "+formatKey(b), "@revoked y "+ka)
	more, _ := s.With("KnownHostsCommand-HOSTNAME", "z "+ka)
	got := more.OtherNames(Query{Host: "h"}, a)
	want := []Place{{"f", 2, "Other.Example,192.0.2.1"}, {"f", 3, "[hashed name]"}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%+v", got)
	}
	if got := s.OtherNames(Query{Host: "h"}, newEC(t).PublicKey()); got != nil {
		t.Errorf("a new key: %+v", got)
	}
}

// FuzzEdit holds that whatever a file looks like, lines about others stay, the
// host has exactly the keys that it should have, and a second time changes
// nothing.
func FuzzEdit(f *testing.F) {
	a, b, c := newEd(f).PublicKey(), newEC(f).PublicKey(), newEd(f).PublicKey()
	for _, text := range []string{
		"", "\n", "h", "h " + formatKey(a), "# c\r\nh,192.0.2.1 " + formatKey(c) + "\r\nx " + formatKey(c),
		"@revoked h " + formatKey(a) + "\nh* " + formatKey(c) + "\n!h,* " + formatKey(b) + "\n\x00\n",
		xknownhosts.HashHostname("h") + " " + formatKey(c) + "\n" + xknownhosts.HashHostname("x") + " " + formatKey(c),
	} {
		f.Add(text, true, false)
		f.Add(text, false, true)
	}
	f.Fuzz(func(t *testing.T, text string, address, hash bool) {
		q := Query{Host: "h"}
		if address {
			q.Address = "192.0.2.1"
		}
		keys := []ssh.PublicKey{a, b}
		once := edit([]byte(text), q, keys, hash)
		if twice := edit(once, q, keys, hash); string(twice) != string(once) {
			t.Errorf("once\n%q\ntwice\n%q", once, twice)
		}
		s := &Store{}
		s.read("f", string(once), User)
		for _, k := range keys {
			if checkPlain(s.lookup("h"), k).Status != Known || address && checkPlain(s.lookup("192.0.2.1"), k).Status != Known {
				t.Errorf("a key is missing in\n%q", once)
			}
		}
		for _, e := range s.entries {
			host, ip := e.about(q)
			if (host || ip) && e.marker == plain && !e.hosts.byHand() && !sameKey(e.key, a) && !sameKey(e.key, b) {
				t.Errorf("a key too much in\n%q", once)
			}
		}
		rest := string(once)
		for line := range strings.Lines(text) {
			l, err := parseLine(line)
			host, ip := (entry{line: l}).about(q)
			if err == nil && l.marker == plain && !l.hosts.byHand() && (host || ip) {
				continue
			}
			_, after, ok := strings.Cut(rest, line)
			if !ok {
				t.Errorf("%q is gone from\n%q", line, once)
			}
			rest = after
		}
	})
}
