package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"muxd/internal/sshtest"
)

// The changelog has what the trailers say, newest day first, and nothing else of
// a message.
func TestChangelog(t *testing.T) {
	sshtest.Require(t, "git", "awk")
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "packaging"), 0o755)
	script := filepath.Join(dir, "packaging/changelog")
	if err := os.WriteFile(script, []byte(read(t, "changelog")), 0o755); err != nil {
		t.Fatal(err)
	}
	git := func(day string, args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=n", "-c", "user.email=e"}, args...)...)
		cmd.Env = append(sshtest.Env(dir), "GIT_AUTHOR_DATE="+day+"T12:00:00Z", "GIT_COMMITTER_DATE="+day+"T12:00:00Z")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	git("2026-01-01", "init", "-q")
	for _, c := range []struct{ day, message string }{
		{"2026-01-01", "a: first\n\nWhy.\n\nRELNOTE: it is there"},
		{"2026-01-02", "b: nothing that anybody sees\n\nRELNOTE is not a trailer here."},
		{"2026-01-03", "c: two\n\nRELNOTE: one thing\nRELNOTE: another, which goes on\n  in the next line"},
		{"2026-01-03", "d: more\n\nSigned-off-by: n\nRELNOTE: a third"},
	} {
		git(c.day, "commit", "-q", "--allow-empty", "-m", c.message)
	}
	out, err := exec.Command("sh", script).Output()
	want := "# Changes\n\n## 2026-01-03\n\n- a third\n- one thing\n- another, which goes on in the next line\n\n## 2026-01-01\n\n- it is there\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}
