package socket

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"muxd/internal/sshtest"
)

// TestFirstOnAFullDisk: where no muxd ever served before, not even the few bytes of
// its number fit into the lock. A socket does, which has none.
func TestFirstOnAFullDisk(t *testing.T) {
	needRoot(t)
	p := newPlace(t)
	base := filepath.Dir(p.Dir)
	if err := unix.Mount("tmpfs", base, "tmpfs", 0, "size=16k,mode=755"); err != nil {
		sshtest.Lacks(t, "root", err)
	}
	t.Cleanup(func() { unix.Unmount(base, unix.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(base, "fill"), make([]byte, 1<<16), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	unlock, err := LockStart(p)
	ok(t, err)
	defer unlock()
	l := listen(t, p)
	greet(t, l)
	mustGreet(t, p)
	if _, err := Listen(p); !errors.Is(err, ErrRunning) {
		t.Errorf("a latecomer is told %v", err)
	}
}
