package proc

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is read is what the process was given, also where a name tries to pass
// for more (proc_pid_stat(5)), and where it is long.
func TestOfAnotherProcess(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(dir, "a) S 7 (b")
	if err := os.Symlink(shell, odd); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 100<<10)
	cmd := exec.Command(odd, "-c", "echo up; read line", "", long)
	cmd.Dir, cmd.Env = dir, []string{"A=1", "LONG=" + long, "EMPTY="}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	if up, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", up, err)
	}
	pid := cmd.Process.Pid
	if got := Args(pid); !slices.Equal(got, cmd.Args) {
		t.Errorf("%d arguments", len(got))
	}
	if got := Environ(pid); !slices.Equal(got, cmd.Env) {
		t.Errorf("%d variables", len(got))
	}
	if got := Dir(pid); got != dir {
		t.Errorf("in %q, want %q", got, dir)
	}
	if got := Parent(pid); got != os.Getpid() {
		t.Errorf("started by %d, want %d", got, os.Getpid())
	}
}

func TestOfNobody(t *testing.T) {
	for _, pid := range []int{0, -1, 1 << 30} {
		if Args(pid) != nil || Environ(pid) != nil || Dir(pid) != "" || Parent(pid) != 0 {
			t.Errorf("process %d is seen", pid)
		}
	}
}
