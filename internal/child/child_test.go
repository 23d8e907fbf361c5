package child

import (
	"context"
	"strings"
	"testing"
	"time"

	"muxd/control"
)

func TestRun(t *testing.T) {
	t.Setenv("SHELL", "/bin/sh")
	t.Setenv("MINE", "mine")
	long := "head -c 3000000 /dev/zero; sleep 100"
	for _, tt := range []struct {
		name   string
		c      control.Command
		status int
		out    string
		err    string
	}{
		{"a test that holds", control.Command{Kind: control.CommandTest, Args: []string{"test $MINE = mine && echo unseen"}}, 0, "", ""},
		{"a test that does not", control.Command{Kind: control.CommandTest, Args: []string{"exit 7"}}, 7, "", ""},
		{"a test that a signal ends", control.Command{Kind: control.CommandTest, Args: []string{"kill -TERM $$"}}, 143, "", ""},
		{"it has no stdin", control.Command{Kind: control.CommandTest, Args: []string{"read x"}}, 1, "", ""},
		{"output", control.Command{Kind: control.CommandOutput, Args: []string{"/bin/sh", "-c", "echo $0 $MINE; exit 3", "a b"}}, 3, "a b mine\n", ""},
		{"no shell", control.Command{Kind: control.CommandOutput, Args: []string{"/bin/echo", "$MINE", "*"}}, 0, "$MINE *\n", ""},
		{"not there", control.Command{Kind: control.CommandOutput, Args: []string{"/no/such"}}, 0, "", "/no/such: no such file or directory"},
		{"too much", control.Command{Kind: control.CommandOutput, Args: []string{"/bin/sh", "-c", long}}, 0, "", "it says more than 2097152 bytes"},
	} {
		r, err := Run(t.Context(), tt.c)
		if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err || r.Status != tt.status || string(r.Output) != tt.out {
			t.Errorf("%s: %d, %.100q, %v", tt.name, r.Status, r.Output, err)
		}
	}
}

// A command that is not wanted any more ends, also one that does not listen.
func TestRunIsGivenUp(t *testing.T) {
	for _, line := range []string{"exec sleep 1000", "trap '' TERM; while :; do sleep 0.1; done"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		r, err := Run(ctx, control.Command{Kind: control.CommandLocal, Args: []string{line}})
		if err != nil || r.Status <= 128 || time.Since(began) > 20*time.Second {
			t.Errorf("%q: %+v, %v after %v", line, r, err, time.Since(began))
		}
	}
}

func TestShell(t *testing.T) {
	t.Setenv("SHELL", "")
	if path, argv := arguments(control.Command{Kind: control.CommandTest, Args: []string{"x"}}); path != "/bin/sh" || strings.Join(argv, " ") != "/bin/sh -c x" {
		t.Errorf("%s %q", path, argv)
	}
}

// One that is given up is not waited for until everything that it started lets
// go of its output: whoever gave it up waits meanwhile, and cannot be ended.
func TestGivenUpWithDescendants(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	Run(ctx, control.Command{Kind: control.CommandOutput, Args: []string{"/bin/sh", "-c", "sleep 40 2>/dev/null; exit 1"}})
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("after %v", took)
	}
}
