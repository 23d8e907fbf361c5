package knownhosts

import (
	"reflect"
	"testing"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

func TestCheck(t *testing.T) {
	a, b, ec := newEd(t).PublicKey(), newEd(t).PublicKey(), newEC(t).PublicKey()
	ka, kb, ke := formatKey(a), formatKey(b), formatKey(ec)
	tests := []struct {
		name  string
		lines []string
		q     Query
		want  Status
		line  int
	}{
		{"plain", []string{"x " + kb, "h " + ka}, Query{Host: "h", Port: 22}, Known, 2},
		{"case of both", []string{"Plain.Example " + ka}, Query{Host: "PLAIN.example"}, Known, 1},
		{"unknown", []string{"x " + ka}, Query{Host: "h"}, Unknown, 0},
		{"hashed", []string{xknownhosts.HashHostname("h") + " " + ka}, Query{Host: "H"}, Known, 1},
		{"hashed port", []string{xknownhosts.HashHostname("[h]:9") + " " + ka}, Query{Host: "h", Port: 9}, Known, 1},
		{"port", []string{"h " + kb, "[h]:9 " + ka}, Query{Host: "h", Port: 9}, Known, 2},
		{"port, other port", []string{"[h]:9 " + ka}, Query{Host: "h", Port: 10}, Unknown, 0},
		{"no port, entry with one", []string{"[h]:9 " + ka}, Query{Host: "h", Port: 22}, Unknown, 0},
		{"wildcard", []string{"*.wild " + ka}, Query{Host: "a.wild"}, Known, 1},
		{"wildcard on a port", []string{"*.wild " + ka}, Query{Host: "a.wild", Port: 9}, Known, 1},
		{"negated", []string{"*.wild,!a.wild " + ka}, Query{Host: "a.wild"}, Unknown, 0},
		{"negated first", []string{"!a.wild,*.wild " + ka}, Query{Host: "a.wild"}, Unknown, 0},
		{"not negated", []string{"!a.wild,*.wild " + ka}, Query{Host: "b.wild"}, Known, 1},
		{"changed", []string{"h " + kb}, Query{Host: "h"}, Changed, 1},
		{"changed, other type", []string{"h " + ke}, Query{Host: "h"}, Changed, 1},
		{"changed names the same type", []string{"h " + ke, "h " + kb}, Query{Host: "h"}, Changed, 2},
		{"one of several", []string{"h " + kb, "h " + ka}, Query{Host: "h"}, Known, 2},
		{"revoked after", []string{"h " + ka, "@revoked * " + ka}, Query{Host: "h"}, Revoked, 2},
		{"revoked before", []string{"@revoked h " + ka, "h " + ka}, Query{Host: "h"}, Revoked, 1},
		{"revoked elsewhere", []string{"@revoked x " + ka, "h " + ka}, Query{Host: "h"}, Known, 2},
		{"revoked bare, unknown on the port", []string{"@revoked h " + ka}, Query{Host: "h", Port: 9}, Revoked, 1},
		{"other key revoked", []string{"@revoked h " + kb, "h " + ka}, Query{Host: "h"}, Known, 2},
		{"an authority is no host key", []string{"@cert-authority h " + ka}, Query{Host: "h"}, Unknown, 0},
		{"IPv6", []string{"2001:db8::1 " + ka}, Query{Host: "2001:DB8::1", Port: 22}, Known, 1},
		{"IPv6 port", []string{"[2001:db8::1]:9 " + ka}, Query{Host: "2001:db8::1", Port: 9}, Known, 1},
	}
	for _, tt := range tests {
		r := storeOf(t, tt.lines...).Check(tt.q, a)
		if r.Status != tt.want || r.Line != tt.line || (r.File != "") != (tt.line > 0) {
			t.Errorf("%s: %v in %q line %d, want %v in line %d", tt.name, r.Status, r.File, r.Line, tt.want, tt.line)
		}
	}
}

func TestChangedSaysWhatWasWanted(t *testing.T) {
	a, b, ec := newEd(t).PublicKey(), newEd(t).PublicKey(), newEC(t).PublicKey()
	s := storeOf(t, "h "+formatKey(ec), "h "+formatKey(b))
	r := s.Check(Query{Host: "h"}, a)
	if r.Want == nil || !sameKey(r.Want.Key, b) {
		t.Errorf("want = %+v", r.Want)
	}
	if len(r.Other) != 1 || !sameKey(r.Other[0].Key, ec) || r.Other[0].Line != 1 {
		t.Errorf("other = %+v", r.Other)
	}
}

// A bare entry proves a host on another port and never contradicts it: the
// other port may be another machine behind the same address.
func TestBareEntryOnlyProves(t *testing.T) {
	a, b := newEd(t).PublicKey(), newEd(t).PublicKey()
	s := storeOf(t, "h "+formatKey(a))
	q := Query{Host: "h", Port: 9}
	if r := s.Check(q, a); r.Status != Known || !r.Bare {
		t.Errorf("the same key: %+v", r)
	}
	if r := s.Check(q, b); r.Status != Unknown || r.Want != nil || r.Bare {
		t.Errorf("another key: %+v", r)
	}
	s = storeOf(t, "h "+formatKey(a), "[h]:9 "+formatKey(b))
	if r := s.Check(q, a); r.Status != Changed {
		t.Errorf("an entry with the port comes first: %+v", r)
	}
}

func TestCheckHostIP(t *testing.T) {
	a, b := newEd(t).PublicKey(), newEd(t).PublicKey()
	ka, kb := formatKey(a), formatKey(b)
	for _, tt := range []struct {
		name  string
		lines []string
		host  Status
		ip    Status
	}{
		{"both", []string{"h,192.0.2.1 " + ka}, Known, Known},
		{"name only", []string{"h " + ka}, Known, Unknown},
		{"address of another", []string{"h " + ka, "192.0.2.1 " + kb}, Known, Changed},
		{"address only", []string{"192.0.2.1 " + ka}, Unknown, Known},
		{"revoked by address", []string{"h " + ka, "@revoked 192.0.2.1 " + ka}, Known, Revoked},
	} {
		q := Query{Host: "h", Address: "::ffff:192.0.2.1"}
		s := storeOf(t, tt.lines...)
		if r, ip := s.Check(q, a), s.CheckAddress(q, a); r.Status != tt.host || ip.Status != tt.ip {
			t.Errorf("%s: %v, address %v", tt.name, r.Status, ip.Status)
		}
	}
	if r := storeOf(t, "* "+ka).CheckAddress(Query{Host: "h"}, a); r.Status != Unknown {
		t.Errorf("without an address: %+v", r)
	}
}

// An alias stands for name and port, and not for the address.
func TestAlias(t *testing.T) {
	a, b := newEd(t).PublicKey(), newEd(t).PublicKey()
	q := Query{Host: "h", Port: 9, Alias: "Other", Address: "192.0.2.1"}
	s := storeOf(t, "[h]:9 "+formatKey(b), "h "+formatKey(b), "other "+formatKey(a), "[192.0.2.1]:9 "+formatKey(a))
	if r := s.Check(q, a); r.Status != Known || r.Line != 3 {
		t.Errorf("%+v", r)
	}
	if r := s.CheckAddress(q, a); r.Status != Known || r.Line != 4 {
		t.Errorf("address: %+v", r)
	}
	if r := storeOf(t, "h "+formatKey(a)).Check(q, a); r.Status != Unknown {
		t.Errorf("found without its alias: %+v", r)
	}
}

// What a command prints counts like a file, for the name it was asked for.
func TestCommandOutput(t *testing.T) {
	a, b := newEd(t).PublicKey(), newEd(t).PublicKey()
	s := storeOf(t, "x "+formatKey(a))
	more, notes := s.With("KnownHostsCommand-HOSTNAME", "garbage\n[h]:9 "+formatKey(a)+"\nh "+formatKey(b)+"\n")
	if len(notes) != 1 || notes[0].String() != "KnownHostsCommand-HOSTNAME:1: the line ends before its key" {
		t.Errorf("notes: %v", notes)
	}
	q := Query{Host: "h", Port: 9}
	if r := more.Check(q, a); r.Status != Known || r.From != Command || r.File != "KnownHostsCommand-HOSTNAME" || r.Line != 2 {
		t.Errorf("%+v", r)
	}
	if r := more.Check(q, b); r.Status != Changed {
		t.Errorf("another key: %+v", r)
	}
	if r := more.Check(Query{Host: "h", Port: 10}, b); r.Status != Unknown {
		t.Errorf("bare, from a command: %+v", r)
	}
	if r := s.Check(q, a); r.Status != Unknown {
		t.Errorf("the first store changed: %+v", r)
	}
}

func TestAlgorithms(t *testing.T) {
	all := []string{ssh.CertAlgoED25519v01, ssh.CertAlgoRSASHA512v01, ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	rsa, ec := formatKey(newRSA(t).PublicKey()), formatKey(newEC(t).PublicKey())
	for _, tt := range []struct {
		name  string
		lines []string
		q     Query
		want  []int // indices into all
	}{
		{"nothing known", nil, Query{Host: "h"}, []int{0, 1, 2, 3, 4, 5}},
		{"rsa", []string{"h " + rsa}, Query{Host: "h"}, []int{4, 5, 0, 1, 2, 3}},
		{"ec and rsa", []string{"h " + rsa, "h " + ec}, Query{Host: "h"}, []int{3, 4, 5, 0, 1, 2}},
		{"authority", []string{"@cert-authority * " + rsa}, Query{Host: "h"}, []int{0, 1, 2, 3, 4, 5}},
		{"authority and ec", []string{"@cert-authority * " + rsa, "h " + ec}, Query{Host: "h"}, []int{0, 1, 3, 2, 4, 5}},
		{"bare, on a port", []string{"h " + ec}, Query{Host: "h", Port: 9}, []int{3, 0, 1, 2, 4, 5}},
		{"port before bare", []string{"h " + ec, "[h]:9 " + rsa}, Query{Host: "h", Port: 9}, []int{4, 5, 0, 1, 2, 3}},
		{"revoked is not known", []string{"@revoked h " + rsa}, Query{Host: "h"}, []int{0, 1, 2, 3, 4, 5}},
	} {
		var want []string
		for _, i := range tt.want {
			want = append(want, all[i])
		}
		if got := storeOf(t, tt.lines...).Algorithms(tt.q, all); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", tt.name, got, want)
		}
	}
}
