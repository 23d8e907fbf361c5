package sshconf

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMatchCommand(t *testing.T) {
	tests := []struct {
		line, command, session string
		want                   bool
	}{
		{"Match command ls*", "ls -l", "", true},
		{"Match command=ls", "ls -l", "", false},
		{"Match command \"\"", "ls", "", false},
		{"Match !command \"\"", "ls", "", true},
		{"Match command *", "", "", false},
		{"Match sessiontype exec", "ls", "", true},
		{"Match sessiontype exec", "", "", false},
		{"Match sessiontype subsystem", "sftp", "subsystem", true},
		{"Match sessiontype=none,shell", "", "none", true},
		{"Match !sessiontype none", "", "none", false},
		{"Match version *p1", "", "", true},
		{"Match !version=OpenSSH_9*", "", "", true},
		{"Match tagged x", "", "", false},
		{"Match !tagged=x", "", "", true},
		{"Match tagged x", "", "", false},
		{"Tag y\nMatch tagged=x,y", "", "", true},
		{"Tag y\nMatch tagged *,!y", "", "", false},
		{"Tag y\nMatch tagged \"\"", "", "", false},
		{"Tag y\nMatch !tagged \"\"", "", "", true},
		{"Tag y\nMatch TAGGED=Y", "", "", false},
		{"Match tagged \"\" command \"\"", "", "", true},
		{"Match command=\"\"", "", "", true},
		{"Match command \"git *\"", "git fetch x", "", true},
		{"Match !command=scp*,sftp", "sftp", "subsystem", false},
		{"Match command sftp sessiontype subsystem", "sftp", "subsystem", true},
		{"Match sessiontype shell", "", "", true},
		{"Match sessiontype !shell,*", "ls", "", true},
		{"Match SessionType=EXEC", "ls", "", false},
		{"SessionType none\nMatch sessiontype none", "", "", true},
		{"Match version OpenSSH_9.*,OpenSSH_10.?p*", "", "", true},
		{"Match version OPENSSH*", "", "", false},
		{"Match !version \"\"x", "", "", true},
		{"Match all", "", "", true},
		{"Match final command ls", "ls", "", true},
		{"Match canonical command ls", "ls", "", false},
		{"Match final\nUser x\nMatch canonical command ls", "ls", "", true},
	}
	for _, tt := range tests {
		w := newWorld(t)
		w.in.Command, w.in.SessionType = tt.command, tt.session
		w.in.UserFile = w.write("config", tt.line+"\nPort 7\n")
		if got := must(t, w.in).Port() == 7; got != tt.want {
			t.Errorf("%s with command %q, session type %q: %v", tt.line, tt.command, tt.session, got)
		}
	}
}

// asked collects the commands of Match exec; those that begin with yes succeed.
func (w *world) asked() *[]string {
	var commands []string
	w.in.Exec = func(command string) (bool, error) {
		commands = append(commands, command)
		return strings.HasPrefix(command, "yes"), nil
	}
	return &commands
}

func TestMatchExec(t *testing.T) {
	w := newWorld(t)
	commands := w.asked()
	w.write("a", "Match exec \"yes never\"\nPort 9\n")
	w.in.UserFile = w.write("config", strings.Join([]string{
		"User bob", "HostName %h.example",
		`Match exec "no %h %n %r %p %%"`, "Port 1",
		`Match host other exec "yes unneeded"`, "Port 2",
		`Match !exec "yes"`, "Port 3",
		"Host other", "Include DIR/a",
		`Match !exec "no" exec=yes-%k`, "Port 4",
	}, "\n"))
	if c := must(t, w.in); c.Port() != 4 {
		t.Errorf("port %d", c.Port())
	}
	want := []string{"no web1.example web1 bob 22 %", "yes", "no", "yes-web1.example"}
	if !slices.Equal(*commands, want) {
		t.Errorf("asked %q, want %q", *commands, want)
	}
}

func TestMatchExecFails(t *testing.T) {
	w := newWorld(t)
	w.in.UserFile = w.write("config", "Port 1\nMatch exec true\nUser u\n")
	wantError(t, w.in, w.in.UserFile+" line 2: Match exec 'true' needs a command to be run")
	w.in.Host = "x"
	w.write("config", "Match host other exec true\nUser u\n")
	must(t, w.in) // nobody needs to be there for what is not asked

	// fork fails with a *os.PathError, which must not pass for an absent file.
	w.in.Exec = func(string) (bool, error) {
		return false, &os.PathError{Op: "fork/exec", Path: "/bin/sh", Err: os.ErrNotExist}
	}
	w.write("config", "Match exec true\nUser u\n")
	_, err := Resolve(w.in)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "line 1: match exec 'true' error") {
		t.Errorf("got %v", err)
	}
	w.write("config", "Match exec \"%z\"\nUser u\n")
	wantError(t, w.in, "unknown token %z")
}

func TestMatchLocalNetwork(t *testing.T) {
	w := newWorld(t)
	w.in.LocalNetwork = func(nets []netip.Prefix) (bool, error) {
		for _, n := range nets {
			if n.Contains(netip.MustParseAddr("10.1.2.3")) {
				return true, nil
			}
		}
		return false, nil
	}
	for line, want := range map[string]bool{
		"localnetwork 10.0.0.0/8": true, "localnetwork=192.168.0.0/16,10.1.2.3": true,
		"localnetwork fe80::/10": false, "!localnetwork 10.1.0.0/16": false,
	} {
		w.in.UserFile = w.write("config", "Match "+line+"\nPort 7\n")
		if got := must(t, w.in).Port() == 7; got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
	w.write("config", "Match localnetwork 10.0.0.1/8\n")
	wantError(t, w.in, "Inconsistent mask length")
	for list, words := range map[string]string{
		"here": `Invalid network entry "here"`, "10.0.0.0/x": `Invalid network entry "10.0.0.0/x"`, "10.0.0.0/33": `Inconsistent mask length for network "10.0.0.0/33"`,
		"10.0.0.0/8,": `addr_match_cidr_list: empty entry in list "10.0.0.0/8,"`, "!10.0.0.0/8": `Invalid network entry "!10.0.0.0/8"`,
	} {
		w.write("config", "Match localnetwork "+list+"\n")
		wantError(t, w.in, words+"\n"+w.in.UserFile+" line 1: Bad Match condition")
	}
	w.in.LocalNetwork = nil
	w.write("config", "Port 1\nMatch localnetwork 10.0.0.0/8\n")
	wantError(t, w.in, "line 2: Match localnetwork 10.0.0.0/8 needs the addresses")
}

func TestCanonicalizeHostnameAsksForSecondPass(t *testing.T) {
	w := newWorld(t)
	w.in.UserFile = w.write("config", "CanonicalizeHostname yes\nMatch canonical\nPort 7\nMatch !canonical\nUser first\n")
	if c := must(t, w.in); c.Port() != 7 || c.User() != "first" {
		t.Errorf("port %d, user %s", c.Port(), c.User())
	}
}

// A pattern of stars takes a backtracking matcher the age of the universe.
func TestPatternsAreBounded(t *testing.T) {
	s, pattern := strings.Repeat("a", 2000), strings.Repeat("*a", 1000)+"b"
	start := time.Now()
	if match(s, pattern) {
		t.Error("matches")
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

// slow is the definition of match, by recursion.
func slow(s, p string) bool {
	switch {
	case p == "":
		return s == ""
	case p[0] == '*':
		return slow(s, p[1:]) || s != "" && slow(s[1:], p)
	case s == "":
		return false
	}
	return (p[0] == '?' || p[0] == s[0]) && slow(s[1:], p[1:])
}

func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{{"", ""}, {"", "*"}, {"a", "?"}, {"aab", "*ab"}, {"aaab", "a*a?b"}, {"ab", "*?*?*?"}, {"abcabd", "*ab*d"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, s, p string) {
		if len(s) > 12 || len(p) > 12 {
			return
		}
		if match(s, p) != slow(s, p) {
			t.Errorf("match(%q, %q) = %v", s, p, match(s, p))
		}
	})
}

func TestPatternLists(t *testing.T) {
	tests := []struct {
		s, list string
		lower   bool
		want    verdict
	}{
		{"a", "a,b", false, matched}, {"a", "A", false, unknown}, {"a", "A", true, matched},
		{"a", "*,!a", false, denied}, {"a", "!a,*", false, denied}, {"a", "!b", false, unknown},
		{"", "", false, unknown}, {"", "!", false, denied}, {"a", ",,a", false, matched},
		{"a", strings.Repeat("*", 1023) + ",a", false, unknown},
	}
	for _, tt := range tests {
		if got := matchList(tt.s, tt.list, tt.lower); got != tt.want {
			t.Errorf("matchList(%q, %.20q, %v) = %v, want %v", tt.s, tt.list, tt.lower, got, tt.want)
		}
	}
}
