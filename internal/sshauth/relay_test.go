package sshauth

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func startRelay(t testing.TB) (*relay, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "r")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "q")
	r, err := newRelay(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.close(); os.RemoveAll(dir) })
	return r, path
}

// askpassProgram runs the test binary as ssh-add would.
func askpassProgram(socket, hint, text string) *exec.Cmd {
	c := exec.Command(os.Args[0], text)
	c.Env = append(os.Environ(), AskpassVar+"="+socket, "SSH_ASKPASS_PROMPT="+hint)
	return c
}

func TestAskpassProgram(t *testing.T) {
	r, path := startRelay(t)
	for _, tt := range []struct {
		name, hint, text string
		answer           []byte
		out              string
		code             int
	}{
		{"answered", "", "Enter passphrase: ", []byte("pass wörd"), "pass wörd\n", 0},
		{"empty", "confirm", "Allow?", []byte{}, "\n", 0},
		{"refused", "", "?", nil, "", 1},
		{"longest", "", strings.Repeat("q", maxQuestion-1), []byte(strings.Repeat("a", maxAnswer)), strings.Repeat("a", maxAnswer) + "\n", 0},
	} {
		c := askpassProgram(path, tt.hint, tt.text)
		var out strings.Builder
		c.Stdout = &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		q := <-r.questions
		if q.hint != tt.hint || q.text != tt.text {
			t.Errorf("%s: asked %q %.100q", tt.name, q.hint, q.text)
		}
		given := append([]byte(nil), tt.answer...)
		if tt.answer == nil {
			given = nil
		} else if given == nil {
			given = []byte{}
		}
		q.answer <- given
		c.Wait()
		if out.String() != tt.out || c.ProcessState.ExitCode() != tt.code {
			t.Errorf("%s: %q, exit %d", tt.name, out.String(), c.ProcessState.ExitCode())
		}
		for _, b := range given {
			if b != 0 {
				t.Errorf("%s: the answer was not wiped: %q", tt.name, given)
				break
			}
		}
	}
	if err := askpassProgram(path, hintNotice, "touch it").Run(); err != nil {
		t.Errorf("a notice: %v", err)
	}
	for _, c := range []*exec.Cmd{askpassProgram(path, "", strings.Repeat("q", maxQuestion)), askpassProgram(path+"x", "", "?")} {
		if err := c.Run(); err == nil {
			t.Errorf("%.200q succeeded", c.Args[1])
		}
	}
}

// A program that goes away, or talks nonsense, or says nothing, holds up
// nobody.
func TestRelayFaults(t *testing.T) {
	r, path := startRelay(t)
	dial := func(b []byte) net.Conn {
		t.Helper()
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		c.Write(b)
		return c
	}
	whole := append(binary.BigEndian.AppendUint32(nil, 3), "\x00ok"...)
	closed := func(name string, c net.Conn) {
		t.Helper()
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
	closed("too long", dial([]byte{255, 255, 255, 255}))
	half := dial(whole[:5])
	dial(nil)
	gone := dial(whole)
	q := <-r.questions
	gone.Close()
	select {
	case <-q.ctx.Done():
	case <-time.After(patience):
		t.Error("the question is not withdrawn")
	}
	q.answer <- []byte("late")
	unread := dial(whole) // nobody takes it up
	q2 := dial(whole)
	q = <-r.questions
	q.answer <- []byte("x")
	_ = q2
	r.close()
	closed("half", half)
	_ = unread
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket left: %v", err)
	}
}

// A relay that lives for long is not deaf for good when descriptors ran out for
// a moment.
func TestRelayWithoutDescriptors(t *testing.T) {
	r, path := startRelay(t)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = 256
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	var all []*os.File
	for {
		f, err := os.Open("/dev/null")
		if err != nil {
			break
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		t.Fatal("no descriptor to begin with")
	}
	all[0].Close() // for our end; there is none for the relay's
	c, err := net.Dial("unix", path)
	time.Sleep(20 * time.Millisecond)
	for _, f := range all[1:] {
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(append(binary.BigEndian.AppendUint32(nil, 2), "\x00?"...))
	select {
	case q := <-r.questions:
		q.answer <- nil
	case <-time.After(time.Minute):
		t.Error("the relay takes no more questions")
	}
}
