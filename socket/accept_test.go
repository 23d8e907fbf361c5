package socket

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCloseUnblocksAccept(t *testing.T) {
	l := listen(t, newPlace(t))
	ended := greet(t, l)
	time.Sleep(time.Millisecond) // to make the waiting case the common one
	ok(t, l.Close())
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("Accept still waits")
	}
}

// TestStranger opens directory and socket to everybody on purpose, so that
// the check of the peer's uid is all that stands.
func TestStranger(t *testing.T) {
	needRoot(t)
	p := newPlace(t)
	l := listen(t, p)
	var mu sync.Mutex
	var reports []string
	l.OnReject = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		reports = append(reports, err.Error())
	}
	greet(t, l)
	ok(t, errors.Join(os.Chmod(p.Dir, 0o755), os.Chmod(p.Path(), 0o666)))
	c := startChild(t, "stranger", p)
	c.expect("0 bytes, EOF")
	ok(t, os.Chmod(p.Dir, 0o700))
	mustGreet(t, p)
	mu.Lock()
	defer mu.Unlock()
	if l.Rejected() != 1 || len(reports) != 1 || !strings.Contains(reports[0], "uid 65534") {
		t.Errorf("%d rejected: %q", l.Rejected(), reports)
	}
}

// strangerRole is another user who is let near the socket.
func strangerRole(p Place) error {
	if err := becomeNobody(); err != nil {
		return err
	}
	fd, err := connected(p.Path())
	if err != nil {
		return err
	}
	c, err := newConn(fd, p.Path(), peer{})
	if err != nil {
		return err
	}
	n, err := c.Read(make([]byte, 10))
	fmt.Printf("%d bytes, %v\n", n, err)
	return nil
}

// TestImpostor has another user serve in a directory of ours, which takes
// root's help, and asserts that the client sends it nothing.
func TestImpostor(t *testing.T) {
	needRoot(t)
	p := newPlace(t)
	ok(t, p.Prepare())
	ok(t, os.Chmod(p.Dir, 0o777))
	c := startChild(t, "impostor", p)
	c.expect("serving")
	ok(t, os.Chmod(p.Dir, 0o700))
	ok(t, p.Check())

	_, err := Dial(p)
	wantUnsound(t, "Dial", err, "served by nobody (uid 65534)")
	if errors.Is(err, ErrNoServer) {
		t.Error("the client would start a muxd")
	}
	c.expect("0 bytes, EOF")
}

func impostorRole(p Place) error {
	if err := becomeNobody(); err != nil {
		return err
	}
	fd, err := newSocket()
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: p.Path()})
	}
	if err == nil {
		err = unix.Listen(fd, 1)
	}
	if err != nil {
		return err
	}
	fmt.Println("serving")
	nfd, _, err := unix.Accept(fd)
	if err != nil {
		return err
	}
	n, err := os.NewFile(uintptr(nfd), "client").Read(make([]byte, 10))
	fmt.Printf("%d bytes, %v\n", n, err)
	return nil
}

// TestCrowd takes all of a server's descriptors. Clients must wait rather than
// be refused, and be served once others leave.
func TestCrowd(t *testing.T) {
	p := newPlace(t)
	c := startChild(t, "crowd", p)
	c.expect("serving")
	var held []*Conn
	for range 60 {
		held = append(held, dial(t, p))
	}
	if got := c.line(); !strings.Contains(got, "too many open files") {
		t.Fatalf("child says %q", got)
	}
	late := dial(t, p)
	for _, h := range held {
		h.Close()
	}
	for name, c := range map[string]*Conn{"who waited": late, "who came after": dial(t, p)} {
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Errorf("the client %s: %v", name, err)
		}
	}
}

// crowdRole greets its clients and then holds them until they leave.
func crowdRole(p Place) error {
	l, err := Listen(p)
	if err != nil {
		return err
	}
	var once sync.Once
	l.OnReject = func(err error) { once.Do(func() { fmt.Println(err) }) }
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 32, Max: 32}); err != nil {
		return err
	}
	fmt.Println("serving")
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			c.Write([]byte("x"))
			io.Copy(io.Discard, c)
		}()
	}
}

// TestCloseEndsThePause closes a listener that waits for descriptors.
func TestCloseEndsThePause(t *testing.T) {
	l := listen(t, newPlace(t))
	ok(t, l.Close())
	start := time.Now()
	l.pause()
	if d := time.Since(start); d >= acceptPause {
		t.Errorf("paused for %v", d)
	}
}

// TestStarved receives more descriptors than the process may open: an error,
// not a part of them.
func TestStarved(t *testing.T) {
	p := newPlace(t)
	l := listen(t, p)
	c := startChild(t, "starve", p)
	conn, err := l.Accept()
	ok(t, err)
	defer conn.Close()
	_, err = conn.WriteFDs([]byte("x"), 0, 1, 2)
	ok(t, err)
	c.expect("1 byte, no descriptors, none leaked, lost")
}

func starveRole(p Place) error {
	c, err := Dial(p)
	if err != nil {
		return err
	}
	highest, err := unix.Dup(0) // the lowest free number
	if err != nil {
		return err
	}
	unix.Close(highest)
	room := uint64(highest + 2)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: room, Max: room}); err != nil {
		return err
	}
	before := openFDs()
	n, fds, err := c.ReadFDs(make([]byte, 1), 3)
	if n == 1 && fds == nil && openFDs() == before && errors.Is(err, errLostFDs) {
		fmt.Println("1 byte, no descriptors, none leaked, lost")
		return nil
	}
	return fmt.Errorf("%d bytes, %v, %d open before and %d after: %w", n, fds, before, openFDs(), err)
}
