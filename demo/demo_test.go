package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// play runs the demo as its own process, with a temporary directory of its own
// in which nothing may be left. The name is short: it holds a socket.
func play(t *testing.T, env ...string) (stdout, stderr string, err error) {
	t.Helper()
	tmp, mkerr := os.MkdirTemp("", "d")
	if mkerr != nil {
		t.Fatal(mkerr)
	}
	defer os.RemoveAll(tmp)
	var out, said strings.Builder
	cmd := exec.Command(os.Args[0], "-rtt", "4ms")
	cmd.Env = append(append(os.Environ(), "TMPDIR="+tmp, playVar+"=1"), env...)
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	left, _ := filepath.Glob(filepath.Join(tmp, "muxd-demo-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return out.String(), said.String(), err
}

func TestPlaysToTheEnd(t *testing.T) {
	out, said, err := play(t)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, said)
	}
	for l := range strings.Lines(out) {
		if n := len(strings.TrimRight(l, "\n")); n >= 80 {
			t.Errorf("a line of %d columns: %s", n, l)
		}
	}
	for _, want := range []string{"\n6. ", "still here\n", "ready", "stopped; it held 1 connection"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

// Without a go command nothing can be built: one clear line, a status, and
// nothing left behind.
func TestSaysWhatFailed(t *testing.T) {
	out, said, err := play(t, "PATH=/nonexistent")
	if err == nil {
		t.Fatalf("no failure without go:\n%s", out)
	}
	if !strings.HasPrefix(said, "demo: go build: ") {
		t.Errorf("stderr: %q", said)
	}
}
