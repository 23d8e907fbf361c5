package master

import (
	"flag"
	"io"
	"sync"
	"testing"
	"time"

	"muxd/control"
)

var slowReaders = flag.Int("slow", 50, "clients that TestSlowReaders has at once")

// TestSlowReaders has many clients take next to nothing of an endless output: each
// costs its window, as with ssh, and no more, and a command beside them goes on.
// When they have gone nothing is left of them.
func TestSlowReaders(t *testing.T) {
	const window = 2 << 20
	m, request := scaled(t, "pour")
	quick, err := m.Resolve(t.Context(), &control.Invocation{Args: []string{"h0", "true"}, Dir: m.cfg.Home}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := command(m, quick.Session); err != nil {
		t.Fatal(err)
	}
	before, goroutines := held()
	n := *slowReaders
	all := make([]control.Stream, n)
	var wg sync.WaitGroup
	for i := range all {
		q := request(i % 4) // hosts
		wg.Go(func() {
			s, err := m.Session(t.Context(), q, nil)
			if err != nil {
				t.Error(err)
				return
			}
			io.ReadFull(s, make([]byte, 1<<10))
			all[i] = s
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	var most int
	for range 5 {
		time.Sleep(200 * time.Millisecond)
		took, err := command(m, quick.Session)
		if err != nil || took > 10*time.Second {
			t.Errorf("beside them a command took %v, %v", took, err)
		}
		now, _ := held()
		most = max(most, (int(now)-int(before))/n)
	}
	t.Logf("each of %d that read nothing takes %d KiB", n, most>>10)
	if most > window+window/2 {
		t.Errorf("each of %d takes %d bytes, of a window of %d", n, most, window)
	}
	for _, s := range all {
		s.Close()
	}
	end := time.Now().Add(time.Minute)
	after, now := held()
	for (now > goroutines+50 || after > before+16<<20) && time.Now().Before(end) {
		time.Sleep(50 * time.Millisecond)
		after, now = held()
	}
	t.Logf("%d KiB and %d goroutines are left", (int(after)-int(before))>>10, now-goroutines)
	if now > goroutines+50 || after > before+16<<20 { // three hosts more than before
		t.Error("something is left of them")
	}
}
