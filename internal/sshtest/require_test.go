package sshtest

import (
	"slices"
	"strings"
	"testing"
)

// verdictTB is a testing.TB that notes how Require ends the test.
type verdictTB struct {
	testing.TB
	skipped, failed string
}

type ended struct{}

func (v *verdictTB) Helper() {}
func (v *verdictTB) Skipf(format string, args ...any) {
	v.skipped = format
	panic(ended{})
}
func (v *verdictTB) Fatalf(format string, args ...any) {
	v.failed = format
	panic(ended{})
}

// judge calls Require and returns when it has ended the test that it was given.
func judge(v *verdictTB, name string) {
	defer func() {
		if r := recover(); r != nil && r != any(ended{}) {
			panic(r)
		}
	}()
	Require(v, name)
}

func TestRequire(t *testing.T) {
	const absent = "no-such-program-for-muxd"
	for _, test := range []struct {
		list, name   string
		skips, fails bool
	}{
		{"", absent, true, false},
		{"sshd", absent, true, false},
		{"sshd, " + absent, absent, false, true},
		{absent + "-2", absent, true, false},
		{"sh", "sh", false, false},
		{"", "/no/such/file", true, false},
		{"/no/such/file", "/no/such/file", false, true},
		{"/dev/null", "/dev/null", false, false},
	} {
		t.Setenv(RequireVar, test.list)
		v := new(verdictTB)
		judge(v, test.name)
		if (v.skipped != "") != test.skips || (v.failed != "") != test.fails {
			t.Errorf("%q %q: skipped %q failed %q", test.list, test.name, v.skipped, v.failed)
		}
	}
}

func TestEnvHasNothingOfTheTester(t *testing.T) {
	t.Setenv("LANG", "xx_XX.UTF-8")
	t.Setenv("SSH_AUTH_SOCK", "/tester")
	env := Env("/h")
	if !slices.Contains(env, "HOME=/h") || strings.Contains(strings.Join(env, " "), "tester") {
		t.Errorf("%q", env)
	}
}

func TestVersionIsComparedByNumbers(t *testing.T) {
	for text, want := range map[string]bool{
		"OpenSSH_9.2p1, OpenSSL 3.0": false, "OpenSSH_9.8": true, "usage\nOpenSSH_9.10p1": true,
		"OpenSSH_10.0p2": true, "OpenSSH_8.9": false, "": false,
	} {
		if got := atLeast(text, 9, 8); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}
