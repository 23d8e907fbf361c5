package learned

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"muxd/alive"
)

// What is learned is written 3 s later and not more often; a mere count 10 min
// later; a read never.
func TestDebounce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var written []string
		look := func() { // and take it away
			synctest.Wait()
			if os.Remove(path) == nil {
				written = append(written, time.Since(start).String())
			}
		}
		s := Open(path, nil)
		w := warmth(20)
		learn := map[int]func(){ // by tenths of a second
			10:  func() { s.SetWarmth(host, "home", w) },
			20:  func() { s.SetSessionLimit(host, 4) },
			39:  func() { s.SetNeedsTouch("k") },
			41:  func() { s.SetSessionLimit(host, 5) }, // after the write at 4 s
			100: func() { s.SetSessionLimit(host, 5); s.SetWarmth(host, "home", w); s.SetNeedsTouch("k") },
			110: func() { s.SessionLimit(host); s.Warmth(host, "home"); s.NeedsTouch("k") },
			120: func() {
				s.Forget("never heard of")
				s.SetSessionLimit("unheard", 0)
				s.SetWarmth("x", "y", alive.Warmth{})
			},
			200:   func() { w.Row++; s.SetWarmth(host, "home", w) },
			900:   func() { w.Row++; s.SetWarmth(host, "home", w) },
			10000: func() { w.Row++; s.SetWarmth(host, "home", w) },
			10010: func() { s.Forget(host) }, // hurries it
			20000: func() { s.Forget("") },
			21000: func() { s.SetWarmth(host, "home", alive.Warmth{Every: alive.UnsetInterval, Row: 1}) }, // a count too
		}
		for tenth := range 30000 {
			look()
			if f := learn[tenth]; f != nil {
				f()
			}
			time.Sleep(100 * time.Millisecond)
		}
		if got, want := strings.Join(written, " "), "4s 7.1s 10m20s 16m44s 33m23s 45m0s"; got != want {
			t.Errorf("written at %s, want %s", got, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if look(); len(written) != 6 {
			t.Error("Close wrote what was written")
		}
	})
}

func TestClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	synctest.Test(t, func(t *testing.T) {
		s := Open(path, nil)
		s.SetSessionLimit(host, 7)
		time.Sleep(time.Second)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n := Open(path, nil).SessionLimit(host); n != 7 {
			t.Errorf("%d", n)
		}
		before, _ := os.Stat(path)
		s.SetSessionLimit(host, 8) // known, but planned no more
		time.Sleep(time.Hour)
		synctest.Wait()
		if after, _ := os.Stat(path); !os.SameFile(before, after) || s.SessionLimit(host) != 8 {
			t.Error("written after Close, or forgotten")
		}
	})
	m := Open("", nil)
	m.SetSessionLimit(host, 7)
	if err := m.Close(); err != nil || m.SessionLimit(host) != 7 {
		t.Error("memory only:", err)
	}
}

// A disk that takes nothing costs one line until it takes something.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	if err := os.WriteFile(state, nil, 0o600); err != nil { // where a directory should be
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log lines
		s := Open(filepath.Join(state, "f"), &log)
		log.want(t, 1) // it cannot be read either
		for n := 1; n < 5; n++ {
			s.SetSessionLimit(host, n)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			log.want(t, 2)
			if s.SessionLimit(host) != n {
				t.Error("forgotten")
			}
		}
		if err := os.Remove(state); err != nil {
			t.Fatal(err)
		}
		s.SetSessionLimit(host, 9)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		log.want(t, 2)
		if n := Open(s.path, nil).SessionLimit(host); n != 9 {
			t.Errorf("the next lesson did not try again: %d", n)
		}
		if err := os.RemoveAll(state); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(state, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.SetSessionLimit(host, 10)
		if err := s.Close(); err == nil {
			t.Error("Close hides that nothing was written")
		}
		log.want(t, 3) // it worked in between, so it is news
		_ = os.Remove(state)
		if err := s.Close(); err != nil || Open(s.path, nil).SessionLimit(host) != 10 {
			t.Error("Close again:", err)
		}
	})
}

// A disk that is full in the middle of the file leaves the old one whole.
func TestDiskFull(t *testing.T) {
	path := os.Getenv("LEARNED_TEST_FULL")
	if path == "" {
		path = filepath.Join(t.TempDir(), "f")
		cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFull$")
		cmd.Env = append(os.Environ(), "LEARNED_TEST_FULL="+path)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	// In a child, because the limit is the process's.
	var log lines
	s := Open(path, &log)
	s.SetSessionLimit(host, 1)
	if err := s.write(); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := syscall.Rlimit{Cur: 1000, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit) // -cover writes after us
	for i := range 100 {
		s.SetSessionLimit(digest(string(rune('a'+i))), 2)
	}
	s.SetSessionLimit(host, 3)
	if err := s.Close(); err == nil {
		t.Error("nothing was full")
	}
	log.want(t, 1)
	if s.SessionLimit(host) != 3 {
		t.Error("memory lost it")
	}
	if n := Open(path, &log).SessionLimit(host); n != 1 {
		t.Errorf("the old file says %d", n)
	}
	if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
	log.want(t, 1)
}
