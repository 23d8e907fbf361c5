package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// complete is what bash would offer for the last of the words.
func complete(t *testing.T, home string, words ...string) []string {
	t.Helper()
	script := `source "$1" || exit 9; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
"_$1"
printf '%s\n' "${COMPREPLY[@]}"`
	cmd := exec.Command("bash", append([]string{"--norc", "-c", script, "bash", "completions/" + words[0] + ".bash"}, words...)...)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	got := strings.Fields(string(out))
	slices.Sort(got)
	return got
}

func TestBash(t *testing.T) {
	sshtest.Require(t, "bash")
	home := t.TempDir()
	os.MkdirAll(filepath.Join(home, ".ssh"), 0o700)
	os.WriteFile(filepath.Join(home, ".ssh/config"), []byte("Host box other\n  User a\nhost *.lan ?x !no\nMatch all\n"), 0o600)
	os.WriteFile(filepath.Join(home, ".ssh/known_hosts"), []byte("known,10.0.0.9 ssh-ed25519 AAAA\n|1|hash= ssh-rsa AA\n@revoked bad ssh-rsa AA\n[h]:22 ssh-rsa A\n"), 0o600)
	for words, want := range map[string][]string{
		"muxd st":                {"status", "stop"},
		"muxd login b":           {"box"},
		"muxd login --":          {"--all"},
		"muxd reconnect --":      {"--all", "--forget"},
		"muxd wait box --for ":   {"down", "ready"},
		"muxd status --":         {"--json", "--probe-forwards"},
		"muxd uninstall --s":     {"--service", "--ssh-config"},
		"muxd nothing ":          nil,
		"muxc kno":               {"known"},
		"muxc -O ex":             {"exit"},
		"muxc 10":                {"10.0.0.9"},
		"muxc -p 22 oth":         {"other"},
		"muxc -O chec":           {"check"},
		"muxd recycle --all oth": {"other"},
		"muxc -o WaitF":          {"WaitForReady="},
		"muxc -o TCPK":           {"TCPKeepAliveCount=", "TCPKeepAliveIdle=", "TCPKeepAliveInterval="},
	} {
		got := complete(t, home, strings.Split(words, " ")...)
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%q: %q, want %q", words, got, want)
			}
		}
		// What the machine itself knows may come beside it, but not for muxd's
		// own words.
		if strings.HasPrefix(words, "muxd") && !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
		if slices.Contains(got, "*.lan") || slices.Contains(got, "bad") || slices.Contains(got, "[h]:22") {
			t.Errorf("%q offers a pattern: %q", words, got)
		}
	}
}

// What files say is offered, and neither run nor read as bash would.
func TestBashRunsNothing(t *testing.T) {
	sshtest.Require(t, "bash")
	home := t.TempDir()
	os.MkdirAll(filepath.Join(home, ".ssh"), 0o700)
	ran := filepath.Join(home, "ran")
	odd := "$(touch${IFS}" + ran + ") `touch<" + ran + "` ${x:=$(touch${IFS}" + ran + ")} a'b \"c d\" \\e ~ ~root [f] "
	os.WriteFile(filepath.Join(home, ".ssh/config"), []byte("Host box "+odd+"# comment\r\nHost other\r\n"), 0o600)
	os.WriteFile(filepath.Join(home, ".ssh/known_hosts"), []byte("known,$(touch${IFS}"+ran+") ssh-ed25519 AAAA\n"), 0o600)
	for _, program := range []string{"muxd login", "muxc -p 22"} {
		got := complete(t, home, append(strings.Fields(program), "")...)
		if !slices.Contains(got, "box") || !slices.Contains(got, "other") {
			t.Errorf("%s: %q lacks a host", program, got)
		}
		for _, w := range got {
			if strings.ContainsAny(w, "#$'\"~/[") || w == "comment" || w == "d" || w == "e" {
				t.Errorf("%s: %q offers %q", program, got, w)
			}
		}
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("a TAB ran what a file says")
	}
}

// fish says itself what it would offer.
func TestFish(t *testing.T) {
	sshtest.Require(t, "fish")
	home := t.TempDir()
	os.MkdirAll(filepath.Join(home, ".ssh"), 0o700)
	os.WriteFile(filepath.Join(home, ".ssh/config"), []byte("Host box other\n"), 0o600)
	for line, want := range map[string][]string{
		"muxd st":              {"status", "stop"},
		"muxd login b":         {"box"},
		"muxd reconnect --":    {"--all", "--forget"},
		"muxd wait box --for ": {"down", "ready"},
		"muxc -p 22 oth":       {"other"},
		"muxc -O ex":           {"exit"},
		"muxc -o WaitF":        {"WaitForReady="},
		"muxc -o TCPK":         {"TCPKeepAliveCount=", "TCPKeepAliveIdle=", "TCPKeepAliveInterval="},
	} {
		program, _, _ := strings.Cut(line, " ")
		cmd := exec.Command("fish", "-c", `source completions/$argv[1].fish; complete -C "$argv[2]"`, program, line)
		cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for _, w := range want {
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(w) + `(\t|$)`).Match(out) {
				t.Errorf("%q: %q, want %q", line, out, want)
			}
		}
	}
}

// Every keyword of muxd's own is offered behind -o, and none that is not.
func TestKeywords(t *testing.T) {
	var keywords []string
	for _, row := range regexp.MustCompile("(?m)^\\| `.*?\\|").FindAllString(read(t, "../docs/keywords.md"), -1) {
		keywords = append(keywords, words(row, "`(\\w+)`")...)
	}
	slices.Sort(keywords)
	for _, f := range []string{"muxc.bash", "_muxc", "muxc.fish"} {
		if got := words(read(t, "completions/"+f), `\b([A-Z]\w+)=[ '"\n]`); !slices.Equal(got, keywords) {
			t.Errorf("%s offers %q, want %q", f, got, keywords)
		}
	}
}

// The other shells at least read theirs.
func TestOtherShells(t *testing.T) {
	for shell, files := range map[string][]string{"zsh": {"_muxc", "_muxd"}, "fish": {"muxc.fish", "muxd.fish"}} {
		t.Run(shell, func(t *testing.T) {
			sshtest.Require(t, shell)
			for _, f := range files {
				if out, err := exec.Command(shell, "-n", "completions/"+f).CombinedOutput(); err != nil {
					t.Errorf("%s: %v: %s", f, err, out)
				}
			}
		})
	}
}
