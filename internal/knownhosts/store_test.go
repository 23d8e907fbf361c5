package knownhosts

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"muxd/internal/sshtest"
)

// One bad line costs itself and no more; skeema's and x/crypto's packages
// refuse the file for any of these.
func TestLoadPassesOverBadLines(t *testing.T) {
	a, b := newEd(t).PublicKey(), newEd(t).PublicKey()
	bad := []string{"garbage", "h ssh-future AAAAB3Nz", "h ssh-ed25519 !!!", "h 1024 35 123", "@what h " + formatKey(a), "barehost"}
	user := writeFile(t, strings.Join(bad, "\n")+"\nh "+formatKey(a)+"\n")
	global := writeFile(t, "g "+formatKey(b)+"\n")
	dir := t.TempDir()
	s, notes := Load([]string{filepath.Join(dir, "missing"), dir, user}, []string{global})
	if len(notes) != len(bad)+1 {
		t.Errorf("%d notes: %v", len(notes), notes)
	}
	if notes[0].Line != 0 || notes[0].File != dir || notes[1].String() == "" || notes[1].Line != 1 {
		t.Errorf("notes: %v", notes)
	}
	if r := s.Check(Query{Host: "h"}, a); r.Status != Known || r.File != user || r.Line != len(bad)+1 {
		t.Errorf("user: %+v", r)
	}
	if r := s.Check(Query{Host: "g"}, b); r.Status != Known || r.File != global {
		t.Errorf("global: %+v", r)
	}
}

// TestLookupAgreesWithSSHKeygen asks both which lines are about a name.
func TestLookupAgreesWithSSHKeygen(t *testing.T) {
	keygen := sshtest.Program(t, "ssh-keygen")
	key := formatKey(newEd(t).PublicKey())
	var lines []string
	for _, h := range []string{
		"plain.example", "PLAIN.EXAMPLE", "[ported.example]:2222", "*.wild", "*.wild,!no.wild", "!no.wild,*.wild",
		"[*.wild]:2222", "a?c", "one,two,192.0.2.1", "2001:db8::1", "[2001:db8::1]:2222", "*",
		xknownhosts.HashHostname("hashed.example"), xknownhosts.HashHostname("[hashed.example]:2222"),
		"@cert-authority *.ca", "@revoked plain.example", "@unknown plain.example", "|1|bad|hash",
	} {
		lines = append(lines, h+" "+key)
	}
	lines = append(lines, "plain.example garbage", "# plain.example "+key, "", "\tplain.example  "+key+" comment")
	file := writeFile(t, strings.Join(lines, "\n")+"\n")
	s, _ := Load([]string{file}, nil)
	found := 0
	for _, name := range []string{
		"plain.example", "ported.example", "[ported.example]:2222", "[ported.example]:2223", "x.wild", "no.wild",
		"[x.wild]:2222", "[no.wild]:2222", "abc", "ac", "one", "two", "three", "192.0.2.1", "2001:db8::1",
		"[2001:db8::1]:2222", "hashed.example", "[hashed.example]:2222", "[hashed.example]:1", "h.ca",
	} {
		out, _ := exec.Command(keygen, "-F", name, "-f", file).Output() // exit 1: not found
		var want []int
		for l := range strings.Lines(string(out)) {
			var n int
			if _, err := fmt.Sscanf(l, "# Host "+name+" found: line %d", &n); err == nil {
				want = append(want, n)
			}
		}
		var got []int
		for _, e := range s.lookup(name) {
			got = append(got, e.num)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: lines %v, ssh-keygen says %v", name, got, want)
		}
		found += len(want)
	}
	if found < 40 { // the star alone is found twenty times
		t.Errorf("ssh-keygen found %d lines: is its output still understood?", found)
	}
}

// TestSSHKeygenFindsWhatWeAppend is the other direction.
func TestSSHKeygenFindsWhatWeAppend(t *testing.T) {
	keygen := sshtest.Program(t, "ssh-keygen")
	for _, hash := range []bool{false, true} {
		file := writeFile(t, "x")
		q := Query{Host: "Some.Host", Port: 2222, Address: "2001:db8::1"}
		if err := Append(file, []string{q.Name(), q.AddressName()}, newRSA(t).PublicKey(), hash); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"[some.host]:2222", "[2001:db8::1]:2222"} {
			if out, err := exec.Command(keygen, "-F", name, "-f", file).Output(); err != nil || len(out) == 0 {
				t.Errorf("hash %v, %s: %s, %v", hash, name, out, err)
			}
		}
	}
}

// BenchmarkCheck2000Hashed is the size of an old administrator's file; it is
// searched for every login, by name, bare name and address.
func BenchmarkCheck2000Hashed(b *testing.B) {
	key := newEd(b).PublicKey()
	var text strings.Builder
	for i := range 2000 {
		text.WriteString(xknownhosts.HashHostname(fmt.Sprintf("host%d", i)) + " " + formatKey(key) + "\n")
	}
	s := &Store{}
	s.read("f", text.String(), User)
	q := Query{Host: "nowhere", Port: 2222, Address: "192.0.2.1"}
	for b.Loop() {
		if s.Check(q, key).Status != Unknown {
			b.Fatal("found")
		}
	}
}

func BenchmarkLoad2000Hashed(b *testing.B) {
	key := newEd(b).PublicKey()
	var text strings.Builder
	for i := range 2000 {
		text.WriteString(xknownhosts.HashHostname(fmt.Sprintf("host%d", i)) + " " + formatKey(key) + "\n")
	}
	for b.Loop() {
		(&Store{}).read("f", text.String(), User)
	}
}
