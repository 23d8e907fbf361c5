package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muxd/internal/sshtest"
)

var (
	soakFor  = flag.Duration("soak", 3*time.Second, "how `long` TestSoak makes faults")
	soakSeed = flag.Uint64("soakseed", 0, "`seed` of TestSoak's faults and sessions; 0 draws one")
)

const (
	soakers    = 50              // sessions at once
	corpusSize = 4 << 20         // what streams are cut from
	soakWait   = 6 * time.Second // WaitForReady
	// soakBound is what no session may take: the wait (6 s) and a login at its
	// end (3 s), then a silence that ends in a verdict (ServerAliveInterval 1,
	// CountMax 2: 3 s), and for the rest a few mebibytes that crawl from one
	// stall to the next on a machine that is busy.
	soakBound = 25 * time.Second
	// soakSettle is how long Go may take to notice what is garbage, and to give it
	// back: it collects every two minutes when nothing else has it do so, and then
	// returns memory with a hundredth of a processor.
	soakSettle = 5 * time.Minute
	// soakLong is a soak after which memory is compared too. A shorter one does
	// not wait for the collector.
	soakLong = time.Minute
)

// soak is a muxd with several hosts, each behind a proxy that fails, two of
// them at one sshd, and one behind another.
type soak struct {
	*host
	sshds   []*sshtest.SSHD
	proxies []*sshtest.Proxy
	names   []string
	corpus  []byte
	seed    uint64
	muxd    *running

	mu      sync.Mutex
	tally   map[string]int // guarded by mu; sessions and faults of each kind
	longest time.Duration  // guarded by mu; of all sessions
	done    []*trip        // guarded by mu; sessions that ended
}

// TestSoak is random faults under fifty sessions at once: nothing arrives that
// was not sent, success means everything, a failure is one line, nothing runs
// twice, nothing hangs, and in the end muxd holds what it held at the start.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := newSoak(t)
	t.Logf("seed %d: -soak %v -soakseed %d", s.seed, *soakFor, s.seed)
	fresh := s.launch()
	s.warmUp()
	s.settle()
	calm := fresh.quit(t)

	s.muxd = s.launch().running
	s.warmUp()
	s.settle()
	start := s.level()
	stop := s.weather()
	s.work(*soakFor)
	stop()
	s.heal()
	s.warmUp() // the same as before the start was measured
	s.settle()
	s.verify()
	s.restored(start)
	after := (&launched{s.muxd}).quit(t)
	compareDumps(t, calm, after)
	s.report()
}

func newSoak(t *testing.T) *soak {
	h := newHost(t)
	s := &soak{host: h, seed: *soakSeed, tally: map[string]int{}, corpus: make([]byte, corpusSize)}
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	r := s.random(0)
	for i := range s.corpus {
		s.corpus[i] = byte(r.Uint32())
	}
	write(t, filepath.Join(h.dir, "corpus"), string(s.corpus))
	var conf, known strings.Builder
	for i := range 4 {
		if i%2 == 0 {
			s.sshds = append(s.sshds, sshtest.StartSSHD(t))
			fmt.Fprintln(&known, s.sshds[i/2].KnownHostsLine)
		}
		s.proxies = append(s.proxies, sshtest.NewProxy(t, s.sshds[i/2].Addr))
		s.describe(&conf, fmt.Sprint("h", i), s.sshds[i/2], s.proxies[i].Addr, "")
	}
	s.describe(&conf, "inner", s.sshds[1], s.sshds[1].Addr, "  ProxyJump h0\n")
	fmt.Fprintf(&conf, "Host *\n  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile %s/known\n  GlobalKnownHostsFile none\n"+
		"  StrictHostKeyChecking yes\n  UpdateHostKeys no\n  ServerAliveInterval 1\n  ServerAliveCountMax 2\n  ConnectTimeout 3\n"+
		"  WaitForReady %d\n  Pinned yes\n", h.dir, int(soakWait.Seconds()))
	write(t, filepath.Join(h.dir, "known"), known.String())
	h.own(conf.String()) // where muxd's own commands find it too
	return s
}

// random is one of the seed's sequences. Each goroutine has its own, so that
// which of them runs first changes nothing.
func (s *soak) random(n int) *rand.Rand { return rand.New(rand.NewPCG(s.seed, uint64(n))) }

func (s *soak) describe(conf *strings.Builder, name string, at *sshtest.SSHD, addr, more string) {
	_, port, _ := strings.Cut(addr, ":")
	fmt.Fprintf(conf, "Host %s\n  HostName 127.0.0.1\n  Port %s\n  User %s\n  IdentityFile %s\n  HostKeyAlias [127.0.0.1]:%d\n%s",
		name, port, at.User, at.ClientKey, at.Port, more)
	s.names = append(s.names, name)
}

func (s *soak) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally[what]++
}

// launched is a muxd whose stderr the test has: SIGQUIT makes Go write there
// what every goroutine does.
type launched struct{ *running }

func (s *soak) launch() *launched {
	s.t.Helper()
	l := &launched{s.start(s.command("muxd"), nil)}
	s.eventually("muxd listens", func() bool { return strings.Contains(s.log(), fmt.Sprintf("msg=listening pid=%d", l.cmd.Process.Pid)) })
	return l
}

// quit ends muxd and returns how many goroutines it had, by who began them.
func (l *launched) quit(t *testing.T) map[string]int {
	t.Helper()
	l.signal(unix.SIGQUIT)
	<-l.done
	os.Remove(l.h.socket())
	dump := l.err.String()
	if !strings.Contains(dump, "SIGQUIT: quit") {
		t.Fatalf("no dump of goroutines: %.500q", dump)
	}
	return byOrigin(dump)
}

func (s *soak) report() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Logf("%d sessions, the longest %v; %v", len(s.done), s.longest.Round(time.Millisecond), s.tally)
	var tiny []time.Duration
	for _, tr := range s.done {
		if tr.kind == "tiny" && tr.err == "" && !tr.killed {
			tiny = append(tiny, tr.took)
		}
	}
	s.t.Logf("from muxc's start to the end of a line's worth, faults included: %s", spread(tiny))
	for _, what := range []string{"all went well", "failed"} {
		if s.tally[what] == 0 {
			s.t.Errorf("no session %s: this proves nothing", what)
		}
	}
}
