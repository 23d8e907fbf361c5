package socket

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCheckMends removes what a cleaner may remove, while Accept waits, and
// asserts that clients are served again, by the same Accept, and that a second
// muxd still is kept out.
func TestCheckMends(t *testing.T) {
	for _, tt := range []struct {
		name   string
		remove func(p Place) error
	}{
		{"nothing", func(p Place) error { return nil }},
		{"socket", func(p Place) error { return os.Remove(p.Path()) }},
		{"lock", func(p Place) error { return os.Remove(p.LockPath()) }},
		{"both", func(p Place) error { return errors.Join(os.Remove(p.Path()), os.Remove(p.LockPath())) }},
		{"directory", func(p Place) error { return os.RemoveAll(p.Dir) }},
		{"directory moved", func(p Place) error { return os.Rename(p.Dir, p.Dir+".old") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			l := listen(t, p)
			greet(t, l)
			mustGreet(t, p)
			before := openFDs()
			for range 3 {
				ok(t, tt.remove(p))
				os.RemoveAll(p.Dir + ".old")
				ok(t, l.Check())
				mustGreet(t, p)
				if _, err := Listen(p); !errors.Is(err, ErrRunning) {
					t.Fatalf("a second muxd: %v", err)
				}
			}
			if after := openFDs(); after != before+3 { // the clients of mustGreet
				t.Errorf("%d descriptors before, %d after", before, after)
			}
			ok(t, l.Close())
			if _, err := os.Lstat(p.Path()); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("Close left the new socket: %v", err)
			}
		})
	}
}

func TestCheckSeesTheForeign(t *testing.T) {
	t.Run("socket in place", func(t *testing.T) {
		p := newPlace(t)
		l := listen(t, p)
		ok(t, os.Remove(p.Path()))
		bindRaw(t, p.Path(), unix.SOCK_STREAM)
		if err := l.Check(); !errors.Is(err, ErrTakenOver) {
			t.Errorf("Check: %v", err)
		}
	})
	t.Run("directory and lock of a new muxd", func(t *testing.T) {
		p := newPlace(t)
		l := listen(t, p)
		ok(t, os.RemoveAll(p.Dir))
		next := listen(t, p)
		if err := l.Check(); !errors.Is(err, ErrTakenOver) {
			t.Errorf("Check: %v", err)
		}
		ok(t, l.Close())
		ok(t, next.Check())
		greet(t, next)
		mustGreet(t, p)
	})
	t.Run("directory opened", func(t *testing.T) {
		p := newPlace(t)
		l := listen(t, p)
		ok(t, os.Chmod(p.Dir, 0o755))
		err := l.Check()
		if _, is := errors.AsType[*UnsoundError](err); !is || errors.Is(err, ErrTakenOver) {
			t.Errorf("Check: %v", err)
		}
		ok(t, os.Chmod(p.Dir, 0o700))
		ok(t, l.Check())
	})
}
