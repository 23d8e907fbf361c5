package getopt

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// TestAgainstSSH asks the installed ssh what it makes of a command line, by
// ssh -G. It holds what every release since 8.x does alike; the rule for users
// grew later, and an IPv6 address in a URL is ours.
func TestAgainstSSH(t *testing.T) {
	ssh, config := sshtest.Program(t, "ssh"), filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("User nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"h"}, {"u@h"}, {"a@b@h"}, {"-p2200", "u@h"}, {"-p", "2200", "h", "-lx"},
		{"-l", "x", "u@h"}, {"u@h", "-l", "x"}, {"-vp", "2201", "h", "-p", "2202", "ls", "-p", "7"},
		{"--", "h", "-p", "7"}, {"h", "--", "-p", "7"}, {"-S", "--", "h", "-p", "7"},
		{"ssh://u@h:2200"}, {"ssh://u%40x@h"}, {"ssh://h:2200", "-p", "7"}, {"ssh://u@h/", "-l", "x"},
		{"-p", "7", "ssh://u@h:2200"}, {"ssh://h."}, {"u@[::1]"}, {"::1"}, {"-oPort=9", "h"},
		{"ssh://[h]"}, {"ssh://u@[192.0.2.1]:2222/"}, {"ssh://[h.]:22"}, {"ssh://h:022"}, {"ssh://h:+22"}, {"ssh://u%40x@[a.b]:22"},
		{"ssh://[]"}, {"ssh://[h"}, {"ssh://[h]x"}, {"ssh://a[h]"}, {"ssh://h]:22"}, {"ssh://[-h]"}, {"ssh://[h;id]"}, {"ssh://[a b]"},
		{"ssh://[h..a]"}, {"ssh://[h%25]"}, {"ssh://[[h]]"}, {"ssh://[h]:22:33"}, {"ssh://[h]/x"}, {"ssh://::1"},
		{"-z", "h"}, {"h", "-z"}, {"-p"}, {}, {"--"}, {"@h"}, {"--", "-h"}, {"-"}, {"-:", "h"}, {"--x", "h"},
		{"ssh://h:0"}, {"ssh://h:22/x"}, {"ssh://a@b@h"}, {"ssh://-h"}, {"ssh://u%00@h"}, {"h;id"}, {"u@h h"},
	} {
		want, refused := ask(ssh, config, args)
		got, err := resolve(args)
		switch {
		case refused != (err != nil):
			t.Errorf("%q: ssh refuses: %v, we say %v", args, refused, err)
		case !refused && !slices.Equal(got, want):
			t.Errorf("%q: user, host, port %q, ssh says %q", args, got, want)
		}
	}
}

func ask(ssh, config string, args []string) (words []string, refused bool) {
	out, err := exec.Command(ssh, append([]string{"-F", config, "-G"}, args...)...).Output()
	for _, key := range []string{"user ", "hostname ", "port "} {
		for line := range bytes.Lines(out) {
			if value, ok := strings.CutPrefix(string(line), key); ok {
				words = append(words, strings.TrimSuffix(value, "\n"))
			}
		}
	}
	return words, err != nil
}

// resolve is the part of ssh's work that is enough for these command lines:
// the first to name something wins, and a URL in its place.
func resolve(args []string) ([]string, error) {
	c, err := ParseSSH(args)
	if err != nil {
		return nil, err
	}
	user, host, port, err := SplitDestination(c.Destination)
	if err != nil {
		return nil, err
	}
	before, _, _ := Parse(SSH, args)
	options := append(slices.Clone(before), Option{'l', user}, Option{'p', port})
	options = append(options, c.Options[len(before):]...)
	options = append(options, Option{'l', "nobody"}, Option{'p', "22"})
	return []string{first(options, 'l', ""), host, first(options, 'p', "")}, nil
}

func first(options []Option, name byte, unset string) string {
	for _, o := range options {
		if o.Name == 'o' && name == 'p' && strings.HasPrefix(o.Value, "Port=") {
			return o.Value[5:]
		}
		if o.Name == name && o.Value != unset {
			return o.Value
		}
	}
	return ""
}
