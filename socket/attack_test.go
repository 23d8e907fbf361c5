package socket

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRootIsAStranger: no mode keeps root from another user's socket, so the
// uid must. The client's side keeps root from it, too.
func TestRootIsAStranger(t *testing.T) {
	needRoot(t)
	p := newPlace(t)
	ok(t, errors.Join(os.Mkdir(p.Dir, 0o700), os.Chown(p.Dir, nobody, nobody)))
	c := startChild(t, "nobodys", p)
	c.expect("serving")
	_, err := Dial(p)
	wantUnsound(t, "Dial", err, "owned by nobody (uid 65534)")

	knock(t, p, "0 bytes, EOF")
	c.expect("connection to " + p.Path() + " refused: the peer is uid 0 (pid " + fmt.Sprint(os.Getpid()) + ") and not uid 65534")
	ok(t, c.in.Close())
	c.expect("0 came in")
}

// knock connects without any check, and reads.
func knock(t *testing.T, p Place, want string) {
	t.Helper()
	if got, err := knocked(p); got != want {
		t.Errorf("the socket gives %q (%v), want %q", got, err, want)
	}
}

func knocked(p Place) (string, error) {
	fd, err := connected(p.Path())
	if err != nil {
		return "", err
	}
	c, err := newConn(fd, p.Path(), peer{})
	if err != nil {
		return "", err
	}
	defer c.Close()
	n, err := c.Read(make([]byte, 10))
	return fmt.Sprintf("%d bytes, %v", n, err), nil
}

// nobodysRole is a muxd of another user, which says whom it turned away.
func nobodysRole(p Place) error {
	if err := becomeNobody(); err != nil {
		return err
	}
	l, err := Listen(p)
	if err != nil {
		return err
	}
	l.OnReject = func(err error) { fmt.Println(err) }
	came, ended := 0, make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came++
			c.Write([]byte("x"))
			c.Close()
		}
	}()
	fmt.Println("serving")
	waitParent()
	l.Close()
	<-ended
	fmt.Println(came, "came in")
	return nil
}

func knockRole(p Place) error {
	got, err := knocked(p)
	fmt.Printf("uid %d: %s\n", os.Geteuid(), got)
	return err
}

// TestSwappedDirectory puts another directory in the checked one's place before
// the socket is bound there. Nothing is served then, and nothing of what the
// other one has is touched.
func TestSwappedDirectory(t *testing.T) {
	for _, deep := range []bool{false, true} { // bound by its path, and by the open directory
		p := newPlace(t)
		for deep && len(p.Dir) < maxBind-8 {
			p.Dir += "d"
		}
		c, err := claimPlace(p)
		ok(t, err)
		evil := filepath.Dir(p.Dir) + "/evil"
		ok(t, errors.Join(os.Mkdir(evil, 0o777), os.WriteFile(evil+"/ctl", []byte("precious"), 0o666)))
		ok(t, os.Rename(p.Dir, p.Dir[:len(p.Dir)-1]+"x"))
		ok(t, os.Rename(evil, p.Dir))
		b, err := c.bind(p)
		if err == nil {
			b.file.Close()
			if _, _, err := statAt(c.dir, p.Name); err != nil {
				t.Errorf("deep %v: the socket is not in the directory that was checked: %v", deep, err)
			}
		}
		if got, _ := os.ReadFile(p.Path()); string(got) != "precious" {
			t.Errorf("deep %v: the other directory's file is %q", deep, got)
		}
		if !deep && err == nil {
			t.Error("a socket was bound by the path of another directory")
		}
		for side, err := range map[string]error{"Dial": second(Dial(p)), "Check": p.Check()} {
			wantUnsound(t, side, err, "is open to others")
		}
		ok(t, c.release())
	}
}

func second[T any](_ T, err error) error { return err }

// TestSquattedTmp: whoever is first in a directory that is everybody's gets the
// name, and keeps nobody from noticing. Sockets of strangers are no better.
func TestSquattedTmp(t *testing.T) {
	needRoot(t)
	p := newPlace(t)
	tmp := filepath.Dir(p.Dir)
	ok(t, os.Chmod(tmp, 0o777|os.ModeSticky))
	squat := exec.Command("/bin/sh", "-c", `mkdir -m 700 "$0" && : > "$0/ctl"`, p.Dir)
	squat.SysProcAttr = asNobody()
	if out, err := squat.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	before := picture(t, tmp)
	for side, err := range map[string]error{"Prepare": p.Prepare(), "Listen": second(Listen(p)), "Dial": second(Dial(p)), "LockStart": second(LockStart(p))} {
		wantUnsound(t, side, err, p.Dir+" is owned by nobody (uid 65534) and not by uid 0: have it removed")
	}
	// A ControlPath there, on which the stranger listens.
	path := tmp + "/cm"
	c := startChild(t, "impostor", At(path))
	c.expect("serving")
	var running *RunningError
	if _, err := ListenAt(path); !errors.As(err, &running) || running.PID != c.cmd.Process.Pid {
		t.Errorf("ListenAt: %v", err)
	}
	c.expect("0 bytes, EOF")
	if after := picture(t, tmp); strings.ReplaceAll(after, "Srwxr-xr-x "+path+"\n", "") != before {
		t.Errorf("touched:\nbefore\n%safter\n%s", before, after)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	// The owner of the directory could do as he likes with what is in it.
	ok(t, os.Chown(tmp, nobody, nobody))
	wantUnsound(t, "ListenAt", second(ListenAt(tmp+"/another")), "is owned by nobody (uid 65534), who could replace a socket in it")
}

// TestLockIsNoLink: neither lock is written through what stands in its place.
func TestLockIsNoLink(t *testing.T) {
	for name, plant := range map[string]func(target, path string) error{
		"hard": os.Link, "symbolic": os.Symlink,
		"pipe": func(_, path string) error { return unix.Mkfifo(path, 0o600) },
	} {
		p := newPlace(t)
		ok(t, p.Prepare())
		target := filepath.Dir(p.Dir) + "/target"
		ok(t, os.WriteFile(target, []byte("precious"), 0o600))
		for _, path := range []string{p.LockPath(), p.Dir + "/" + p.startName()} {
			ok(t, plant(target, path))
		}
		if _, err := Listen(p); err == nil {
			t.Errorf("%s: served", name)
		}
		if _, err := LockStart(p); err == nil {
			t.Errorf("%s: locked", name)
		}
		if b, _ := os.ReadFile(target); string(b) != "precious" {
			t.Errorf("%s: the target is %q", name, b)
		}
	}
}

// asNobody has a program of the system run as another user.
func asNobody() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}
