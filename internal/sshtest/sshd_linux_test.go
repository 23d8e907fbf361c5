package sshtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// childVar makes TestSSHDEndsWithAKilledTest the process that is killed.
const childVar = "SSHTEST_KILLED_CHILD"

// A test that runs into its timeout ends without its clean-up: its sshd must
// not stay, and with it a port or a namespace.
func TestSSHDEndsWithAKilledTest(t *testing.T) {
	if os.Getenv(childVar) != "" {
		s := StartSSHD(t)
		fmt.Printf("sshd %d\n", s.listener.Process.Pid)
		io.ReadAll(os.Stdin) // until killed
		return
	}
	Require(t, "sshd")
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), childVar+"=1", "TMPDIR="+t.TempDir())
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil || cmd.Start() != nil {
		t.Fatal("cannot run this test again")
	}
	defer in.Close()
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, _ := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "sshd ")))
	if err != nil || pid == 0 || !running(pid) {
		t.Fatalf("no sshd: %q, %v", line, err)
	}
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()
	soon(t, "sshd has ended", func() bool { return !running(pid) })
}

// running is false for a zombie, which an orphan may stay where the init of a
// container reaps nobody.
func running(pid int) bool {
	all, err := processes()
	for _, p := range all {
		if p.pid == pid {
			return true
		}
	}
	return err != nil
}
