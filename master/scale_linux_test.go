package master

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

var scaleHosts = flag.Int("scale", int(long(200)), "hosts that TestScale holds at once")

// farVar has TestFarServer serve, in a process of its own: what its side of the
// connections takes is not to be counted.
const farVar = "MUXD_TEST_FAR"

// far is a server in another process, on TCP.
type far struct{ addr, key string }

// TestFarServer is no test but the process that startFar starts.
func TestFarServer(t *testing.T) {
	if os.Getenv(farVar) == "" {
		t.Skip("serves startFar alone")
	}
	srv := sshtest.NewServer(sshtest.Options{
		Config: ssh.Config{KeyExchanges: []string{"curve25519-sha256"}},
		Commands: map[string]sshtest.Command{
			"true": func(*sshtest.Session, []string) sshtest.Exit { return sshtest.Exit{} },
			"drink": func(s *sshtest.Session, _ []string) sshtest.Exit {
				io.Copy(io.Discard, s.In)
				return sshtest.Exit{}
			},
			"pour": func(s *sshtest.Session, _ []string) sshtest.Exit {
				for b, err := make([]byte, 128<<10), error(nil); err == nil; {
					_, err = s.Out.Write(b)
				}
				return sshtest.Exit{}
			},
		},
	})
	addr, err := srv.Listen()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("far %s %s", addr, ssh.MarshalAuthorizedKey(srv.HostKey()))
	io.Copy(io.Discard, os.Stdin) // until whoever started it lets go
	os.Exit(0)
}

func startFar(t testing.TB) far {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFarServer$")
	cmd.Env = append(os.Environ(), farVar+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); io.Copy(io.Discard, stdout); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, key, _ := strings.Cut(strings.TrimPrefix(line, "far "), " ")
	return far{addr, key}
}

// scaled is a Master in real time, all of whose hosts are one far server.
func scaled(t testing.TB, command string) (*Master, func(i int) *control.SessionRequest) {
	t.Helper()
	f, home := startFar(t), t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"known_hosts": "h* " + f.key,
		"config":      "ServerAliveInterval 1\nServerAliveCountMax 60\n",
	} {
		if err := os.WriteFile(filepath.Join(home, ".ssh", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := New(Config{Log: slog.New(slog.DiscardHandler), Home: home, User: "me", SystemFile: filepath.Join(home, "none"),
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, f.addr)
		}})
	t.Cleanup(m.Close)
	return m, func(i int) *control.SessionRequest {
		plan, err := m.Resolve(context.Background(), &control.Invocation{Args: []string{fmt.Sprintf("h%d", i), command}, Dir: home}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return plan.Session
	}
}

// command runs one to its end and returns how long that took.
func command(m *Master, r *control.SessionRequest) (time.Duration, error) {
	start := time.Now()
	s, err := m.Session(context.Background(), r, nil)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	_, exit, err := finish(s)
	if err == nil && exit != (control.Exit{}) {
		err = fmt.Errorf("exit %+v", exit)
	}
	return time.Since(start), err
}

// held is what a process of Go has from the system for its goroutines and what
// they use, after what is garbage has gone.
func held() (bytes uint64, goroutines int) {
	for range 3 { // pools lose what they hold in two
		runtime.GC()
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapInuse + s.StackInuse, runtime.NumGoroutine()
}

// TestScale holds many hosts, and looks at what each further one that is idle
// takes, and that commands on others go on meanwhile; then a session on each of
// them as well.
func TestScale(t *testing.T) {
	m, request := scaled(t, "true")
	const first = 10
	open := func(from, to int) {
		var wg sync.WaitGroup
		slots := make(chan struct{}, 16)
		for i := from; i < to; i++ {
			slots <- struct{}{}
			wg.Go(func() {
				if _, err := command(m, request(i)); err != nil {
					t.Error(err)
				}
				<-slots
			})
		}
		wg.Wait()
	}
	open(0, first)
	time.Sleep(time.Second)
	bytes, goroutines := held()
	opened := make(chan struct{})
	go func() { defer close(opened); open(first, *scaleHosts) }()
	warm, others := meanwhile(t, m, request, first, opened)
	t.Logf("%d commands on hosts that were there while %d came: median %v, slowest %v", others, *scaleHosts-first, warm[others/2], warm[others-1])
	time.Sleep(time.Second)
	moreBytes, moreGoroutines := held()
	n := *scaleHosts - first
	each, threads := (int(moreBytes)-int(bytes))/n, float64(moreGoroutines-goroutines)/float64(n)
	t.Logf("each further idle host, without the kernel's part: %d KiB, %.1f goroutines", each>>10, threads)
	if limit := 130 << 10; each > limit {
		t.Errorf("each further idle host takes %d bytes, more than %d", each, limit)
	}
	if threads > 10 {
		t.Errorf("each further idle host takes %.1f goroutines", threads)
	}
	const seconds = 3
	start := spent()
	time.Sleep(seconds * time.Second)
	probe := (spent() - start) / time.Duration(seconds**scaleHosts)
	t.Logf("each probe of an idle host: %v of processor time; with 1000 hosts, each 15 s, %.1f %% of a processor", probe, probe.Seconds()*1000/15*100)
	if probe > 10*time.Millisecond {
		t.Errorf("each probe of an idle host takes %v", probe)
	}
	warm = sitOnEach(t, m, request, *scaleHosts, first)
	slowest := warm[len(warm)-1]
	t.Logf("%d commands while each of %d hosts was given a session that stays: median %v, slowest %v", len(warm), *scaleHosts, warm[len(warm)/2], slowest)
	if slowest > 30*time.Second {
		t.Error("that is a stall")
	}
}

// sitOnEach holds a session on each of so many hosts at a time, while commands go
// on, and returns what those took.
func sitOnEach(t *testing.T, m *Master, request func(int) *control.SessionRequest, hosts, busy int) []time.Duration {
	t.Helper()
	sessions := make([]control.Stream, hosts)
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		var wg sync.WaitGroup
		slots := make(chan struct{}, 16)
		for i := range sessions {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				r := request(i)
				r.Command = "sleep 1h"
				var err error
				if sessions[i], err = m.Session(context.Background(), r, nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}()
	warm, _ := meanwhile(t, m, request, busy, opened)
	if st, err := m.Status(t.Context(), &control.StatusRequest{}); err != nil || len(st.Hosts) != hosts {
		t.Errorf("status of %d hosts: %v, %v", hosts, st, err)
	} else if i := slices.IndexFunc(st.Hosts, func(h control.HostStatus) bool { return len(h.Sessions) == 0 }); i >= 0 {
		t.Errorf("no session on %v", st.Hosts[i].Name)
	}
	for _, s := range sessions {
		if s != nil {
			s.Close()
		}
	}
	return warm
}

// meanwhile runs commands on the first hosts until done is closed, and returns
// how long each took, in order, and how many there were.
func meanwhile(t *testing.T, m *Master, request func(int) *control.SessionRequest, hosts int, done <-chan struct{}) ([]time.Duration, int) {
	t.Helper()
	var took []time.Duration
	for i := 0; ; i++ {
		d, err := command(m, request(i%hosts))
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, d)
		select {
		case <-done:
			slices.Sort(took)
			return took, len(took)
		default:
		}
	}
}
