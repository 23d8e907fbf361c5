package learned

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"muxd/alive"
)

// lines is a log that counts.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Warn(msg string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, msg+fmt.Sprint(args...))
}

func (l *lines) want(t *testing.T, n int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) != n {
		t.Errorf("%d lines of log, want %d: %q", len(l.all), n, l.all)
	}
}

var _ Logger = (*slog.Logger)(nil)

var host = digest("deploy@db1.example.com:22")

func warmth(seconds int) alive.Warmth {
	var w alive.Warmth
	w.Lost(time.Duration(seconds)*time.Second, time.Now())
	return w
}

func TestRoundTrip(t *testing.T) {
	var log lines
	path := filepath.Join(t.TempDir(), "state", "learned.json") // its directory is made
	s := Open(path, &log)
	home, office := warmth(20), warmth(60)
	s.SetWarmth(host, "home", home)
	s.SetWarmth(host, "office", office)
	s.SetSessionLimit(host, 10)
	s.SetWarmth("a name in clear", "home", office)
	s.SetNeedsTouch("SHA256:abc")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	for _, s := range []*Store{s, Open(path, &log)} {
		if got := s.Warmth(host, "home"); got != home {
			t.Errorf("home: %+v, want %+v", got, home)
		}
		if got := s.Warmth(host, "office"); got != office {
			t.Errorf("office: %+v", got)
		}
		if got := s.Warmth("a name in clear", "home"); got != office {
			t.Errorf("another destination: %+v", got)
		}
		if s.SessionLimit(host) != 10 || s.SessionLimit("a name in clear") != 0 || s.SessionLimit("unknown") != 0 {
			t.Errorf("limits: %d %d", s.SessionLimit(host), s.SessionLimit("a name in clear"))
		}
		if !s.NeedsTouch("SHA256:abc") || s.NeedsTouch("SHA256:abd") {
			t.Error("touch")
		}
		if s.Warmth("unknown", "home") != (alive.Warmth{}) || s.Warmth(host, "train") != (alive.Warmth{}) {
			t.Error("something known of the unknown")
		}
	}
	log.want(t, 0)

	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
	b, _ := os.ReadFile(path)
	for _, clear := range []string{"example", "name", "home", "office", "SHA256", "abc"} {
		if strings.Contains(string(b), clear) {
			t.Errorf("%q in clear in\n%s", clear, b)
		}
	}
	if networkDigest(host, "home") == networkDigest("b", "home") || !strings.Contains(string(b), networkDigest(host, "home")) {
		t.Error("the file tells who uses the same network")
	}
	if !strings.Contains(string(b), host) {
		t.Errorf("a digest was hashed again:\n%s", b)
	}
}

func TestForget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	s := Open(path, nil)
	fill := func() {
		for _, d := range []string{host, "b"} {
			s.SetWarmth(d, "home", warmth(20))
			s.SetWarmth(d, "office", warmth(20))
			s.SetSessionLimit(d, 3)
		}
		s.SetNeedsTouch("k")
	}
	known := func(s *Store, d string) bool {
		return s.SessionLimit(d) != 0 || s.Warmth(d, "home") != (alive.Warmth{}) || s.Warmth(d, "office") != (alive.Warmth{})
	}
	fill()
	s.write()
	s.Forget(host)
	s.Forget("never heard of")
	s.write()
	for _, s := range []*Store{s, Open(path, nil)} {
		if known(s, host) || !known(s, "b") || !s.NeedsTouch("k") {
			t.Error("one destination")
		}
	}
	fill()
	s.Forget("")
	s.Close()
	for _, s := range []*Store{s, Open(path, nil)} {
		if known(s, host) || known(s, "b") || s.NeedsTouch("k") {
			t.Error("everything")
		}
	}
}

func TestUnknownAgain(t *testing.T) {
	s := Open("", nil)
	s.SetSessionLimit(host, 5)
	s.SetSessionLimit(host, -1)
	if n := s.SessionLimit(host); n != 0 {
		t.Errorf("%d", n)
	}
	s.SetWarmth(host, "home", warmth(9))
	s.SetWarmth(host, "home", alive.Warmth{})
	if w := s.Warmth(host, "home"); w != (alive.Warmth{}) {
		t.Errorf("%+v", w)
	}
}

// The least recently used go, in memory and from a file to the next; a read is
// a use.
func TestBounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	s := Open(path, nil)
	name := func(i int) string { return fmt.Sprint("n", i) }
	for i := range 3000 {
		s.SetSessionLimit(name(i), i+1)
		s.SetWarmth("hub", name(i), warmth(20))
		s.SetNeedsTouch(name(i))
		s.SessionLimit(name(0))
		s.NeedsTouch(name(0))
		s.Warmth("hub", name(0))
	}
	s.Close()
	for round := range 2 {
		if len(s.dests) != maxDests || len(s.keys) != maxKeys || len(s.dests[digest("hub")].networks) != maxNetworks {
			t.Fatalf("%d destinations, %d keys, %d networks", len(s.dests), len(s.keys), len(s.dests[digest("hub")].networks))
		}
		for i := range 3000 {
			_, d := s.dests[digest(name(i))]
			_, k := s.keys[keyDigest(name(i))]
			_, n := s.dests[digest("hub")].networks[networkDigest("hub", name(i))]
			if i > 0 && (d != (i >= 3000-maxDests+2) || k != (i >= 3000-maxKeys+1) || n != (i >= 3000-maxNetworks+1)) || i == 0 && !(d && k && n) {
				t.Fatalf("round %d, entry %d: %v %v %v", round, i, d, k, n)
			}
		}
		s = Open(path, nil)
	}
	// And the order went through the file: the next to go is the oldest.
	s.SetSessionLimit("one more", 1)
	if _, d := s.dests[digest(name(3000-maxDests+2))]; d {
		t.Error("the file lost the order of use")
	}
}

// Each way to use a destination keeps it.
func TestUses(t *testing.T) {
	for name, use := range map[string]func(s *Store){
		"Warmth":          func(s *Store) { s.Warmth(host, "home") },
		"SetWarmth":       func(s *Store) { s.SetWarmth(host, "home", warmth(9)) },
		"SetSessionLimit": func(s *Store) { s.SetSessionLimit(host, int(s.uses)) },
		"SessionLimit":    func(s *Store) { s.SessionLimit(host) },
	} {
		s := Open("", nil)
		s.SetWarmth(host, "home", warmth(20))
		for i := range maxDests + 10 {
			s.SetSessionLimit(fmt.Sprint("n", i), 1)
			use(s)
		}
		if s.dests[host] == nil {
			t.Errorf("%s is no use", name)
		}
	}
	s := Open("", nil)
	if s.SetWarmth(host, "home", alive.Warmth{}); len(s.dests) != 0 {
		t.Error("nothing takes a place")
	}
}

func TestTouchAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	s := Open(path, nil)
	s.SetNeedsTouch("k")
	s.Close()
	if !Open(path, nil).NeedsTouch("k") {
		t.Error("not written")
	}
}

func TestConcurrentUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	s := Open(path, nil)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 400 {
				d, n := fmt.Sprint("d", r.IntN(20)), fmt.Sprint("n", r.IntN(4))
				switch r.IntN(8) {
				case 0:
					s.SetWarmth(d, n, warmth(1+r.IntN(99)))
				case 1:
					s.Warmth(d, n)
				case 2:
					s.SetSessionLimit(d, i)
				case 3:
					s.SessionLimit(d)
				case 4:
					s.SetNeedsTouch(n)
				case 5:
					s.NeedsTouch(n)
				case 6:
					s.Forget(d)
				case 7:
					if i%10 == 0 {
						s.Close() // in the midst of it all; the last one counts
					}
				}
			}
			s.SetSessionLimit(fmt.Sprint("mine", g), g+1)
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var log lines
	s = Open(path, &log)
	log.want(t, 0)
	for g := range 8 {
		if n := s.SessionLimit(fmt.Sprint("mine", g)); n != g+1 {
			t.Errorf("goroutine %d wrote %d", g, n)
		}
	}
}
