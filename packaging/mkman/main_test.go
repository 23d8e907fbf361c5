package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

func TestPageIsUpToDate(t *testing.T) {
	md, err := os.ReadFile("../../" + source)
	if err != nil {
		t.Fatal(err)
	}
	want, err := configPage(string(md))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("../../" + page); err != nil || string(got) != want {
		t.Errorf("%s is not what %s says (%v): go run ./packaging/mkman", page, source, err)
	}
}

func TestConfigPage(t *testing.T) {
	const before = "# Keywords\n\nThey go `here`. 'A' \\ [b](c).\n\n| keyword | value | unset | what it does |\n| --- | --- | --- | --- |\n"
	got, err := configPage(before + "| `A`, `B` | a time | 3 | does. `no`: not |\n\nafter | it\n")
	want := "They go \\fBhere\\fR.\n\\&'A' \\e b.\n" + middle + ".It Cm A , B\nDoes.\n\\fBno\\fR: not.\nThe value is a time; unset: 3.\n" + foot
	if err != nil || got != head+want {
		t.Errorf("%v\n%s", err, got)
	}
	for _, wrong := range []string{"", "no table", before + "| `A` | b |\n"} {
		if _, err := configPage(wrong); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

// groff has nothing against the pages, where it is installed.
func TestPagesAreClean(t *testing.T) {
	sshtest.Require(t, "groff")
	for _, name := range []string{"muxc.1", "muxd.8", "muxd_config.5"} {
		cmd := exec.Command("groff", "-mandoc", "-Tutf8", "-ww", "-z", "../man/"+name)
		if out, err := cmd.CombinedOutput(); err != nil || len(strings.TrimSpace(string(out))) > 0 {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
