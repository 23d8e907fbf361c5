package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestConfirmAndAudit: a person is asked where the command was typed, a script is
// refused, and the log says who wanted what.
func TestConfirmAndAudit(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.own("WaitForReady no\nConfirm yes\nAudit yes\n")
	h.run(h.muxc("box", "true"), nil).fails(t, `box: Confirm is set for it, and nobody could be asked \(-o Confirm=no does without\)`)
	if n := h.sshd.Logins(); n != 0 {
		t.Errorf("%d logins for what was refused", n)
	}
	for _, answer := range []string{"no", "yes"} {
		s := h.onScreen(h.muxc("box", "echo it ran"))
		s.shows(`Run "echo it ran" on box? (yes/no) `)
		s.types(answer + "\r")
		if answer == "yes" {
			s.shows("it ran")
			s.ends(0)
			continue
		}
		s.shows("muxc: box: Confirm is set for it, and the answer was no")
		s.ends(255)
	}
	h.setenv("SSH_ASKPASS", "/bin/false")
	h.setenv("SSH_ASKPASS_REQUIRE", "force")
	if r := h.run(h.muxc("box", "true"), nil); r.code != 255 {
		t.Errorf("an SSH_ASKPASS that says no: %+v", r)
	}
	h.echo("-o", "Confirm=no")
	for _, want := range []string{
		`msg="audit: channel refused" .*host=box .*kind=exec what=true client=\d+ by="muxc of .*" why="Confirm is set for it, and nobody could be asked`,
		`msg="audit: channel" .*host=box .*kind=exec what="echo it ran" client=\d+ by="?muxc`,
		`msg="audit: channel" .*what="echo works"`,
	} {
		if !regexp.MustCompile(want).MatchString(h.log()) {
			t.Errorf("no line %s in the log", want)
		}
	}
}

// TestNotifyCommand runs in a shell of muxd's, with the words in its environment.
func TestNotifyCommand(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	file := filepath.Join(h.dir, "told")
	h.own("WaitForReady no\nNotifyCommand echo \"$MUXD_HOST is $MUXD_STATE in $PWD: $MUXD_TEXT\" >> " + file + "\n")
	h.run(h.muxc("-o", "PreferredAuthentications=none", "box", "true"), nil).fails(t, "box: ")
	told := func() string { b, _ := os.ReadFile(file); return string(b) }
	h.eventually("it is told", func() bool { return strings.HasSuffix(told(), "\n") })
	if !strings.HasPrefix(told(), "box is blocked in /: ") {
		t.Errorf("told %q", told())
	}
	h.echo() // another connection, by its PreferredAuthentications, and so no news
	if strings.Count(told(), "\n") != 1 {
		t.Errorf("told %q", told())
	}
}
