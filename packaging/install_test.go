package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// What make install lays out works from where it lies, and uninstall leaves
// nothing. After make it compiles nothing: root may have no Go.
func TestMakeInstall(t *testing.T) {
	sshtest.Require(t, "make", "install")
	root := t.TempDir()
	inTree(t, "make", "-s")
	inTree(t, "make", "-s", "install", "GO=false", "DESTDIR="+root, "PREFIX=/opt/muxd")
	bin := filepath.Join(root, "opt/muxd/bin")
	for _, program := range []string{"muxc", "muxd"} {
		if out := inTree(t, filepath.Join(bin, program), "-V"); !strings.HasPrefix(out, program+" ") {
			t.Errorf("%s -V: %q", program, out)
		}
	}
	for file, want := range map[string]string{"sbom.cdx.json": "pkg:golang/github.com/hashicorp/yamux@v", "copyright": "\nMozilla Public License, version 2.0\n"} {
		if text := read(t, filepath.Join(root, "opt/muxd/share/doc/muxd", file)); !strings.Contains(text, want) {
			t.Errorf("%s has no %q", file, want)
		}
	}
	unit, err := os.ReadFile(filepath.Join(root, "opt/muxd/lib/systemd/user/muxd.service"))
	if err != nil || !strings.Contains(string(unit), "\nExecStart=/opt/muxd/bin/muxd\n") {
		t.Errorf("the unit: %v\n%s", err, unit)
	}
	inTree(t, "make", "-s", "uninstall", "DESTDIR="+root, "PREFIX=/opt/muxd")
	filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("left: %s", path)
		}
		return nil
	})
}

// inTree runs a program at the root of the source.
func inTree(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}
