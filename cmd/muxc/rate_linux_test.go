package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/control/controltest"
	"muxd/internal/sshtest"
	"muxd/socket"
)

var (
	rate     = flag.Int("rate", 100, "clients a second that TestRate sends")
	rateFor  = flag.Duration("ratefor", 2*time.Second, "how `long` it does so")
	rateLive = flag.Int("live", 100, "sessions that TestRate holds at a time on one host")
)

// atOnce is how many clients connect at a time, fewer than may be silent: on a
// machine that is busy muxd has not heard yet what they have said already.
const atOnce = 100

// rated is a muxd in a process of its own, and clients and a server in this one:
// a process for each client would measure the kernel.
type rated struct {
	*host
	srv   *sshtest.Server
	place socket.Place
}

func newRated(t *testing.T) *rated {
	h := newHost(t)
	r := &rated{host: h, place: socket.Place{Dir: h.dir, Name: "ctl"}, srv: sshtest.NewServer(sshtest.Options{
		Config:   ssh.Config{KeyExchanges: []string{"curve25519-sha256"}},
		Commands: map[string]sshtest.Command{"true": func(*sshtest.Session, []string) sshtest.Exit { return sshtest.Exit{} }},
	})}
	t.Cleanup(r.srv.Close)
	addr, err := r.srv.Listen()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(addr, ":")
	h.cfg = filepath.Join(h.dir, "config")
	write(t, h.cfg, fmt.Sprintf("Host box\n HostName 127.0.0.1\n Port %s\n User me\n IdentityAgent none\n IdentityFile none\n UserKnownHostsFile %s/known\n", port, h.dir))
	write(t, filepath.Join(h.dir, "known"), "[127.0.0.1]:"+port+" "+string(ssh.MarshalAuthorizedKey(r.srv.HostKey())))
	h.start(h.command("muxd"), nil)
	h.eventually("muxd listens", func() bool { return len(pidsIn(h.logPath())) == 1 })
	return r
}

// command runs one to its end, calls opened when it has begun, and returns how long
// that took.
func (r *rated) command(line string, want control.Exit, opened func(op *control.Op)) (open time.Duration, err error) {
	began := time.Now()
	c, err := socket.Dial(r.place)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	op, err := control.Run(c, &control.Invocation{Args: []string{"-F", r.cfg, "box", line}, Dir: r.dir, Env: r.env})
	if err != nil {
		return 0, err
	}
	exit, err := op.Wait(&controltest.Screen{OnOpened: func(*control.Plan) { open = time.Since(began); opened(op) }})
	if err == nil && exit != want {
		err = fmt.Errorf("%+v, want %+v", exit, want)
	}
	return open, err
}

// spread is where half and where 99 of a hundred of them are.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	at := func(percent int) time.Duration { return all[(len(all)-1)*percent/100].Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d opened, half within %v, 99 %% within %v, all within %v", len(all), at(50), at(99), at(100))
}

// TestRate sends clients at a rate, and then has many sessions at a time on one
// host, whose connection is cut under them: each gets its own status, or its one
// line, and muxd holds afterwards what it held before.
func TestRate(t *testing.T) {
	r := newRated(t)
	nothing := func(*control.Op) {}
	warm := func() {
		t.Helper()
		for range 50 {
			if _, err := r.command("true", control.Exit{}, nothing); err != nil {
				t.Fatal(err)
			}
		}
	}
	warm()
	r.clients(20, 50)
	before, resident := r.descriptors(), r.resident()
	began := time.Now()
	opens := r.clients(*rate, int(rateFor.Seconds()*float64(*rate)))
	took := time.Since(began)
	t.Logf("%d clients a second were wanted for %v: %.0f a second came; %s", *rate, *rateFor, float64(len(opens))/took.Seconds(), spread(opens))
	t.Logf("%d sessions at a time: %s", *rateLive, spread(r.live(*rateLive)))
	warm()
	if n := r.srv.Logins(); n != 2 {
		t.Errorf("%d logins", n)
	}
	ok := until(long, func() bool { return r.descriptors() <= before })
	t.Logf("descriptors %d, before %d; resident %d KiB, before %d KiB", r.descriptors(), before, r.resident()>>10, resident>>10)
	if !ok {
		t.Error("descriptors are left")
	}
}

// clients sends so many clients a second, n in all, and returns what each took to
// open its session. Those that are late are sent at once.
func (r *rated) clients(perSecond, n int) (opens []time.Duration) {
	r.t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	began := time.Now()
	for i := range n {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))))
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			open, err := r.command(fmt.Sprintf("exit %d", i%200), control.Exit{Code: uint32(i % 200)}, func(*control.Op) {})
			mu.Lock()
			defer mu.Unlock()
			if err != nil && !r.t.Failed() {
				r.t.Errorf("client %d: %v", i, err)
			}
			opens = append(opens, open)
		})
	}
	wg.Wait()
	return opens
}

// live holds n sessions at a time, cuts their connection, and returns what each took
// to open.
func (r *rated) live(n int) (opens []time.Duration) {
	r.t.Helper()
	var mu sync.Mutex
	var wg, open sync.WaitGroup
	open.Add(n)
	slots := make(chan struct{}, atOnce)
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			here := sync.OnceFunc(func() { <-slots; open.Done() })
			defer here()
			took, err := r.command("sleep 1h", control.Exit{}, func(*control.Op) { here() })
			var e *control.Error
			if ctx.Err() == nil || !errors.As(err, &e) || e.Phase != control.Running {
				r.t.Errorf("session %d: %v", i, err)
			}
			mu.Lock()
			defer mu.Unlock()
			opens = append(opens, took)
		})
	}
	open.Wait()
	cut()
	began := time.Now()
	r.srv.Last().Drop()
	wg.Wait()
	r.t.Logf("%d sessions heard of the end of their connection within %v", n, time.Since(began).Round(time.Millisecond))
	return opens
}
