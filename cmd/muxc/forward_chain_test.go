package main

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

// TestChainedForwards: bytes both ways, to the last one, through forwards of all
// kinds one behind the other, of which each direction ends by itself.
func TestChainedForwards(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	const size = 4<<20 + 4711
	up, down, both := serveTCP(t, digest), serveTCP(t, speaker(11, size)), serveTCP(t, parrot)
	// Of each far end: -L port → -R path → -L path → -R port → far end.
	var args, here []string
	for i, f := range []*far{up, down, both} {
		first, last := freePort(t), freePort(t)
		a, b := filepath.Join(h.dir, fmt.Sprint("a", i)), filepath.Join(h.dir, fmt.Sprint("b", i))
		args = append(args, "-R", at("%d:127.0.0.1:%d", last, f.port), "-L", at("%s:127.0.0.1:%d", b, last),
			"-R", at("%s:%s", a, b), "-L", at("%d:%s", first, a))
		here = append(here, loopback(first), b)
	}
	h.stand(append(args, "-o", "ExitOnForwardFailure=yes")...)
	for _, n := range []int64{0, 1, 32<<10 - 1, 32 << 10, 32<<10 + 1, size} {
		uploads(t, here[0], 21, n)
		uploads(t, here[1], 22, n)
	}
	for range 3 {
		downloads(t, here[2], down)
		downloads(t, here[3], down)
	}
	parrots(t, here[4], 50)
	parrots(t, here[5], 50)
	for _, f := range h.forwards() {
		if f.State != "active" || f.Total == 0 || f.LastError != "" {
			t.Errorf("%+v", f)
		}
	}
	h.eventually("none is left open", func() bool {
		for _, f := range h.forwards() {
			if f.Open != 0 {
				return false
			}
		}
		return true
	})
	// What went through is told to the byte.
	want := int64(2 * (1 + 32<<10 - 1 + 32<<10 + 32<<10 + 1 + size))
	if f := h.forwards()[0]; f.BytesOut != want || f.BytesIn != 2*6*64 {
		t.Errorf("%d bytes out and %d in, want %d and %d", f.BytesOut, f.BytesIn, want, 2*6*64)
	}
}

// TestManyAtOnceThroughAForward: a slow one in the middle holds up no other.
func TestManyAtOnceThroughAForward(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	up, port := serveTCP(t, digest), freePorts(t, 2)
	stuck := serveTCP(t, func(c stream) error { select {} })
	h.stand("-L", at("%d:127.0.0.1:%d", port, up.port), "-L", at("%d:127.0.0.1:%d", port+1, stuck.port))
	for range 3 { // as much as it can, which nobody reads
		c := mustDial(t, loopback(port+1))
		go c.Write(make([]byte, 64<<20))
	}
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() { uploads(t, loopback(port), uint64(i), 256<<10) })
	}
	all.Wait()
	h.echo()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
}
