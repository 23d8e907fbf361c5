package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// level is what muxd holds.
type level struct {
	fds     []string // what the descriptors are; nil: not to be seen
	threads int
	rss     int // KiB
}

// warmUp has every host serve as many sessions at once as the soak, so that
// what muxd keeps of its busiest moment is there in every measurement.
func (s *soak) warmUp() {
	s.t.Helper()
	var wg sync.WaitGroup
	bad := make(chan result, soakers)
	for i := range soakers {
		wg.Go(func() {
			// On a busy machine a peer may be silent for longer than the
			// configuration has patience for: that is told, and is no fault yet.
			for began := time.Now(); ; {
				r := s.start(s.muxc("-o", "WaitForReady=20", s.names[i%len(s.names)], fmt.Sprintf("head -c %d %s/corpus", 1<<20, s.dir)), nil).wait()
				if r.code == 0 && r.out == string(s.corpus[:1<<20]) {
					return
				}
				if r.code != 255 || !soakLine.MatchString(r.err) || time.Since(began) > long {
					r.out = fmt.Sprint(len(r.out), " bytes")
					bad <- r
					return
				}
			}
		})
	}
	wg.Wait()
	close(bad)
	for r := range bad {
		s.t.Errorf("warming up: %+v", r)
	}
}

// settle waits until each host has one connection and no session. Further
// connections, which were made for many sessions at once, are replaced; those
// behind a jump host last, because they keep the one that they go through.
func (s *soak) settle() {
	s.t.Helper()
	for _, name := range s.names {
		// On a busy machine a connection may be gone again, and another not be there yet.
		done := name + ": new sessions go to a fresh connection, the old one ends with its last session\n"
		s.eventually(name+" has another connection", func() bool {
			s.run(s.command("muxd", "wait", name, "--timeout", "60"), nil)
			return s.run(s.command("muxd", "recycle", name), nil).out == done
		})
	}
	var last string
	calm := func() bool {
		var st struct {
			Hosts []struct {
				Name, State     string
				Links, Sessions []json.RawMessage
			}
		}
		last = s.run(s.command("muxd", "status", "--json"), nil).out
		if json.Unmarshal([]byte(last), &st) != nil || len(st.Hosts) != len(s.names) {
			return false
		}
		for _, h := range st.Hosts {
			if h.State != "ready" || len(h.Links) != 1 || len(h.Sessions) != 0 {
				return false
			}
		}
		return true
	}
	if !until(long, calm) {
		s.t.Fatalf("after %v not every host has one connection and no session: %s", long, last)
	}
	time.Sleep(time.Second) // goroutines and descriptors of what just ended
}

func (s *soak) level() level {
	pid := s.muxd.cmd.Process.Pid
	l := level{threads: s.fact(pid, "Threads"), rss: s.fact(pid, "VmRSS")}
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, path := range paths {
		if to, err := os.Readlink(path); err == nil {
			l.fds = append(l.fds, to)
		}
	}
	return l
}

// fact is a number in proc_pid_status(5).
func (s *soak) fact(pid int, name string) int {
	for line := range strings.Lines(maybe(fmt.Sprintf("/proc/%d/status", pid))) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(v)[0])
			return n
		}
	}
	s.t.Fatalf("no %s of muxd %d", name, pid)
	return 0
}

// restored fails the test when muxd holds more than at the start.
func (s *soak) restored(start level) {
	s.t.Helper()
	most := func(n int) int { return n + n/20 }
	var now level
	back := func() bool {
		now = s.level()
		return len(now.fds) <= len(start.fds) && (*soakFor < soakLong || now.rss <= most(start.rss))
	}
	patience := 5 * time.Second
	if *soakFor >= soakLong {
		patience = soakSettle
	}
	began := time.Now()
	ok := until(patience, back)
	s.t.Logf("descriptors %d, at the start %d; threads %d, %d; resident %d KiB, %d; settled after %v",
		len(now.fds), len(start.fds), now.threads, start.threads, now.rss, start.rss, time.Since(began).Round(time.Second))
	if !ok {
		s.t.Errorf("muxd holds more than at the start\nnow   %q\nstart %q", now.fds, start.fds)
	}
	if start.fds == nil {
		s.t.Log("muxd's descriptors are not to be seen: only root may")
	}
}

var createdBy = regexp.MustCompile(`(?m)^created by (\S+)`)

// byOrigin counts the goroutines of a dump by the function that began them.
// The runtime's own are left out of the dump by Go.
func byOrigin(dump string) map[string]int {
	n := map[string]int{}
	for _, g := range strings.Split(dump, "\n\n") {
		if !strings.HasPrefix(g, "goroutine ") {
			continue
		}
		who := "main"
		if m := createdBy.FindStringSubmatch(g); m != nil {
			who = m[1]
		}
		n[who]++
	}
	return n
}

// compareDumps fails the test when there are more goroutines than in a muxd
// that saw no fault, of any origin.
func compareDumps(t *testing.T, calm, after map[string]int) {
	t.Helper()
	sum := func(m map[string]int) (n int) {
		for _, k := range m {
			n += k
		}
		return n
	}
	t.Logf("goroutines %d, of a muxd without faults %d", sum(after), sum(calm))
	if sum(calm) < 10 {
		t.Errorf("%v is no dump of a muxd", calm)
	}
	for who, n := range after {
		// One more may be the end of the client that asked last; a leak is one for each
		// of many sessions.
		if n > calm[who]+calm[who]/20+1 && !strings.HasPrefix(who, "runtime") {
			t.Errorf("%d goroutines begun by %s, %d in a muxd without faults", n, who, calm[who])
		}
	}
}
