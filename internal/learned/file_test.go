package learned

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// full returns the bytes of a file that has some of everything.
func full(t testing.TB) []byte {
	path := filepath.Join(t.TempDir(), "full")
	s := Open(path, nil)
	s.SetWarmth(host, "home", warmth(20))
	s.SetWarmth("b", "office", warmth(60))
	s.SetSessionLimit(host, 10)
	s.SetNeedsTouch("k")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is no file of ours costs one line, is nothing, and is replaced.
func TestForeignFiles(t *testing.T) {
	ours := string(full(t))
	for name, content := range map[string]string{
		"empty":           "",
		"cut":             ours[:len(ours)/2],
		"trailing":        ours + "x",
		"text":            "Host *\n",
		"another's":       `{"version":1,"destinations":[]}`,
		"another list":    `[]`,
		"newer":           strings.Replace(ours, `"version": 1`, `"version": 2`, 1),
		"newer, other":    `{"format":"muxd-learned","version":2,"destinations":"elsewhere"}`,
		"older than all":  strings.Replace(ours, `"version": 1`, `"version": 0`, 1),
		"of another type": strings.Replace(ours, `"max_sessions": 10`, `"max_sessions": "ten"`, 1),
		"too long":        ours + strings.Repeat(" ", maxFile),
		"zeros":           string(make([]byte, 4096)),
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		var log lines
		s := Open(path, &log)
		log.want(t, 1)
		if s.SessionLimit(host) != 0 || len(s.dests)+len(s.keys) != 0 {
			t.Errorf("%s: believed", name)
		}
		if b, _ := os.ReadFile(path); string(b) != content {
			t.Errorf("%s: touched before there was anything to say", name)
		}
		s.SetSessionLimit(host, 4)
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, _ := os.Stat(path); info.Mode() != 0o600 {
			t.Errorf("%s: mode %v", name, info.Mode())
		}
		if s = Open(path, &log); s.SessionLimit(host) != 4 {
			t.Errorf("%s: not replaced", name)
		}
		log.want(t, 1)
		if name == "cut" { // forgetting everything replaces it as well
			_ = os.WriteFile(path, []byte(content), 0o600)
			s = Open(path, nil)
			s.Forget("")
			s.Close()
			Open(path, &log)
			log.want(t, 1)
		}
	}
}

func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo, sub := filepath.Join(dir, "fifo"), filepath.Join(dir, "sub")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, n := range map[string]int{filepath.Join(dir, "missing"): 0, fifo: 1, sub: 1} {
		var log lines
		if s := Open(path, &log); s == nil {
			t.Error(path)
		}
		log.want(t, n)
	}
}

// What lies where the new file is written is neither followed nor kept.
func TestLeftover(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "f"), filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, path+".new"); err != nil {
		t.Fatal(err)
	}
	s := Open(path, nil)
	s.SetSessionLimit(host, 4)
	if err := s.Close(); err != nil || Open(path, nil).SessionLimit(host) != 4 {
		t.Error(err)
	}
	if b, _ := os.ReadFile(other); string(b) != "mine" {
		t.Errorf("followed: %q", b)
	}
}

// Names that are no digests, and numbers nobody could have learned.
func TestNonsenseInside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	net := networkDigest(host, "home")
	content := fmt.Sprintf(`{"format":"muxd-learned","version":1,"unheard_of":{},
		"destinations":[{"dest":"db1.example.com","max_sessions":3},{"dest":%q,"max_sessions":9},
		{"dest":%q,"max_sessions":-3,"networks":[{"network":"home"},
		{"network":%q,"warmth":{"every_ns":-1,"row":-5,"fatal_ns":-7,"lost_at":"9999-12-31T23:59:59-05:00"}}]}],
		"touch_keys":["","SHA256:abc"]}`, strings.ToUpper(host), host, net)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var log lines
	s := Open(path, &log)
	log.want(t, 0)
	if len(s.dests) != 1 || len(s.keys) != 0 || s.SessionLimit(host) != 0 || len(s.dests[host].networks) != 1 {
		t.Errorf("%+v %+v", s.dests, s.keys)
	}
	w := s.Warmth(host, "home")
	if w.Interval() != 15*time.Second || !w.LostAt.IsZero() {
		t.Errorf("%+v", w)
	}
	w.LostAt = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)
	s.SetWarmth(host, "home", w)
	s.SetSessionLimit(host, 1)
	if err := s.Close(); err != nil {
		t.Errorf("one date keeps all from being written: %v", err)
	}
}

// A file longer than the bounds: the end of each list was used last.
func TestTooManyInside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var f file
	f.Format, f.Version = format, version
	for i := range 2 * maxDests {
		f.Dests = append(f.Dests, destJSON{Dest: digest(fmt.Sprint(i)), Sessions: i + 1})
		f.Keys = append(f.Keys, short(fmt.Sprint(i)))
	}
	for n := range 2 * maxNetworks {
		d := &f.Dests[2*maxDests-1]
		d.Networks = append(d.Networks, networkJSON{Network: short(fmt.Sprint(n)), Warmth: warmth(n + 1)})
	}
	if err := replace(path, f); err != nil {
		t.Fatal(err)
	}
	s := Open(path, nil)
	hub := s.dests[digest(fmt.Sprint(2*maxDests-1))]
	if len(s.dests) != maxDests || len(s.keys) != maxKeys || hub == nil || len(hub.networks) != maxNetworks {
		t.Fatalf("%d destinations, %d keys, %+v", len(s.dests), len(s.keys), hub)
	}
	if s.dests[digest(fmt.Sprint(maxDests))] == nil || s.keys[short(fmt.Sprint(2*maxDests-maxKeys))] == nil ||
		hub.networks[short(fmt.Sprint(maxNetworks))] == nil {
		t.Error("the wrong end")
	}
}

// Any bytes: no crash; and what comes out of them goes through a file again
// unchanged.
func FuzzFile(f *testing.F) {
	ours := full(f)
	f.Add(ours)
	f.Add(ours[:100])
	f.Add([]byte(`{"format":"muxd-learned","version":1}`))
	f.Add([]byte(`{"format":"muxd-learned","version":1,"destinations":[null],"touch_keys":null}`))
	f.Add([]byte(`{"format":"muxd-learned","version":1e400}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, fmt.Sprint("f", os.Getpid()))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var log lines
		s := Open(path, &log)
		if len(log.all) > 1 {
			t.Errorf("%q", log.all)
		}
		s.Warmth(host, "home")
		s.SetSessionLimit("x", 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again := Open(path, &log)
		if len(log.all) > 1 {
			t.Errorf("%q", log.all)
		}
		if x, y := fmt.Sprintf("%+v", s.content()), fmt.Sprintf("%+v", again.content()); x != y {
			t.Errorf("%s\n%s", x, y)
		}
	})
}
