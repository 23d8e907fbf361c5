package socket

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muxd/internal/sshtest"
)

// patience is for what happens at once or never.
const patience = time.Minute

const nobody = 65534

// roles are what the test binary does as a child process.
var roles = map[string]func(p Place) error{
	"serve":    serveRole,
	"race":     raceRole,
	"stranger": strangerRole,
	"impostor": impostorRole,
	"starve":   starveRole,
	"crowd":    crowdRole,
	"activate": activateRole,
	"hold":     holdRole,
	"nobodys":  nobodysRole,
	"knock":    knockRole,
	"unnamed":  unnamedRole,
}

func TestMain(m *testing.M) {
	if role := roles[os.Getenv("SOCKET_TEST_ROLE")]; role != nil {
		if err := role(At(os.Getenv("SOCKET_TEST_PATH"))); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// child is this test binary in another role.
type child struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startChild(t *testing.T, role string, p Place) *child {
	t.Helper()
	return startCmd(t, exec.Command(os.Args[0]), role, p)
}

func startCmd(t *testing.T, cmd *exec.Cmd, role string, p Place) *child {
	t.Helper()
	cmd.Env = append(os.Environ(), "SOCKET_TEST_ROLE="+role, "SOCKET_TEST_PATH="+p.Path())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	ok(t, err)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	c := &child{t, cmd, in, bufio.NewScanner(out)}
	guard := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		guard.Stop()
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return c
}

// line is the child's next line of output, "" after its last.
func (c *child) line() string {
	c.out.Scan()
	return c.out.Text()
}

func (c *child) expect(want string) {
	c.t.Helper()
	if got := c.line(); got != want {
		c.t.Fatalf("child says %q, want %q", got, want)
	}
}

// waitParent holds a child until its parent closes its input, or is gone.
func waitParent() { io.Copy(io.Discard, os.Stdin) }

// becomeNobody drops root in a child. Not through SysProcAttr.Credential:
// nobody may not enter the directory in which go test puts the binary.
func becomeNobody() error {
	return errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody))
}

func needRoot(t *testing.T) {
	t.Helper()
	sshtest.Require(t, "root") // to act as another user
}

// newPlace is an unmade place with a short path, in a directory that others
// can reach: t.TempDir is too long and too private.
func newPlace(t *testing.T) Place {
	t.Helper()
	base, err := os.MkdirTemp("/tmp", "mx")
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(base) })
	ok(t, os.Chmod(base, 0o755))
	return in(filepath.Join(base, "d"))
}

func listen(t *testing.T, p Place) *Listener {
	t.Helper()
	l, err := Listen(p)
	ok(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, p Place) *Conn {
	t.Helper()
	c, err := Dial(p)
	ok(t, err)
	t.Cleanup(func() { c.Close() })
	ok(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// greet accepts for ever and sends every client one byte. The channel is
// closed when Accept has failed, which must be because of Close.
func greet(t *testing.T, l *Listener) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				if err != os.ErrClosed {
					t.Errorf("Accept: %v, want os.ErrClosed", err)
				}
				return
			}
			c.Write([]byte("x"))
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return ended
}

// mustGreet reads to the end, so when it returns the server is done with it.
func mustGreet(t *testing.T, p Place) {
	t.Helper()
	if got, err := io.ReadAll(dial(t, p)); string(got) != "x" || err != nil {
		t.Fatalf("client of %s: %q, %v", p.Path(), got, err)
	}
}

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	fi, err := os.Lstat(path)
	ok(t, err)
	return fi.Sys().(*syscall.Stat_t).Ino
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func env(kv ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == name {
				return kv[i+1]
			}
		}
		return ""
	}
}
