package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/control/sshmux"
	"muxd/control/streams"
	"muxd/internal/build"
	"muxd/internal/child"
	"muxd/internal/learned"
	"muxd/internal/netwatch"
	"muxd/internal/reach"
	"muxd/internal/sshauth"
	"muxd/internal/term"
	"muxd/master"
	"muxd/socket"
)

const (
	// idleExit is how long a muxd that a client started stays without a
	// connection and without a client.
	idleExit = 10 * time.Minute
	// startGrace is how long it stays for its first client: what muxc waits for
	// it at most, and more than it then takes to connect.
	startGrace = 15 * time.Second
	// checkEvery is how often the daemon looks at its own socket: somebody
	// cleaning up /run or /tmp must not leave it unreachable for long.
	checkEvery = time.Minute
	// farewell bounds the wait for clients to take their last frame at the end.
	farewell = 2 * time.Second
)

// daemon is muxd at work.
type daemon struct {
	log       *slog.Logger
	listener  *socket.Listener
	master    *master.Master
	learned   *learned.Store
	remember  func() // closes learned, the first time: two processes must not write it
	server    *control.Server
	doors     *sshmux.Doors
	env       []string       // what it was started with
	manager   string         // the socket of the service manager that wants to be told, or ""
	auto      bool           // started by a client or by activation: ends when idle
	activated bool           // the socket is the service manager's
	came      atomic.Bool    // whether a client has come
	clients   sync.WaitGroup // one for each connection being served
	stop      chan string    // capacity 1: why to end
}

// serve runs the daemon until it is asked to end or has nothing left to do.
func serve() int {
	leaveTerminal()
	ready := takeReady()
	manager := takeManager(ready.auto())
	closeInherited(func(fd int) bool { return ready.is(fd) || isActivated(fd) })
	findHome()
	log, logPath := openLog(ready.auto())
	idle := idleTime()
	d, err := newDaemon(log)
	var running *socket.RunningError
	if errors.As(err, &running) && ready.auto() {
		ready.ok() // another muxd won the race; the client will find it
		return 0
	}
	if err != nil {
		log.Error("start", "err", err)
		ready.fail(err)
		return complain(err)
	}
	d.auto = d.auto || ready.auto()
	if !ready.auto() && term.IsTerminal(2) {
		fmt.Fprintf(os.Stderr, "muxd: listening on %s, log in %s\n", d.listener.Place().Path(), logPath)
	}
	log.Info("listening", "socket", d.listener.Place().Path(), "build", build.Version, "auto", d.auto)
	ready.ok()
	keepThreads()
	d.manager = manager
	notify(manager, "READY=1")
	d.run(idle)
	return 0
}

func newDaemon(log *slog.Logger) (*daemon, error) {
	u, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("who am I: %w", err)
	}
	d := &daemon{log: log, stop: make(chan string, 1)}
	if err := d.listen(); err != nil {
		return nil, err
	}
	d.env = os.Environ()
	pace(os.Getenv)
	scrubEnv()
	os.Chdir("/")
	d.learned = learned.Open(learnedPath(), log)
	d.remember = sync.OnceFunc(func() { d.learned.Close() })
	d.master = master.New(master.Config{Log: log, Epoch: time.Now(), Learned: d.learned, Network: netwatch.Network, Routed: netwatch.Routed,
		HasAddress: netwatch.HasAddress, Online: netwatch.Online, Build: build.Version, Socket: d.listener.Place().Path(),
		Home: u.HomeDir, User: u.Username, OnStop: d.stopped, OnDrain: d.drains, Notify: d.notify,
		Door: func(path string) control.Destination { return d.doors.At(path) }, DoorDir: doorDir(d.listener.Place()),
		PrivateAgent: privateAgent(log, d.listener.Place()), Clients: d.busy})
	d.doors = sshmux.NewDoors(d.master, log, os.Getpid(), doorDir(d.listener.Place()))
	d.server = &control.Server{Backend: d.master, Build: build.Version, PID: os.Getpid(), Log: log,
		Many: streams.Serve, Doors: d.doors, Yield: d.yield, CloseFD: func(fd int) { unix.Close(fd) }}
	d.listener.OnExhausted = func() { d.server.MakeRoom() }
	return d, nil
}

// doorDir is where -O prepare has ControlPaths served: beside the socket, where
// nobody else may be. It is made when there is something to put there.
func doorDir(p socket.Place) string { return filepath.Join(p.Dir, "c") }

// busy is the number of clients, by whichever door they came.
func (d *daemon) busy() int { return d.server.Clients() + d.doors.Clients() }

// privateAgent lives beside the socket, where nobody else may be and where the
// lock says that there is no other muxd.
func privateAgent(log *slog.Logger, p socket.Place) *sshauth.PrivateAgent {
	exe, err := os.Executable()
	if err != nil {
		log.Warn("no private agent", "err", err)
		return nil
	}
	return sshauth.NewPrivateAgent(sshauth.PrivateConfig{Dir: p.Path() + ".keys", Askpass: exe, Log: log})
}

// listen takes the socket that an activating service manager passed, or makes
// its own.
func (d *daemon) listen() error {
	l, err := socket.ListenFDs()
	if err != nil {
		return err
	}
	d.auto, d.activated = l != nil, l != nil
	if l == nil {
		p, err := socket.Choose(os.Getenv)
		if err != nil {
			return err
		}
		if l, err = socket.Listen(p); err != nil {
			return err
		}
	}
	l.OnReject = func(err error) { d.log.Warn("connection rejected", "err", err) }
	d.listener = l
	return nil
}

// stopped is called before the client that asked gets its answer: with it in
// hand, nobody finds this muxd any more, and the next one may start.
func (d *daemon) stopped() {
	d.listener.Close()
	d.end("asked by a client")
}

// notify runs a NotifyCommand as muxd's own child, with the environment that muxd
// was started with.
func (d *daemon) notify(ctx context.Context, line string, env []string) error {
	r, err := child.RunAs(ctx, control.Command{Kind: control.CommandTest, Args: []string{line}}, append(slices.Clone(d.env), env...))
	if err == nil && r.Status != 0 && ctx.Err() == nil {
		err = fmt.Errorf("it ended with status %d", r.Status)
	}
	return err
}

// drains is called when muxd begins to drain. Without its socket the next one may
// start, and has the ControlPaths and what was learned to itself. A socket that the
// service manager holds stays, and whoever comes is refused in words.
func (d *daemon) drains() {
	d.remember()
	d.doors.Stop()
	if !d.activated {
		d.listener.Close()
	}
}

// yield makes way for a muxd of a later version, if nothing is lost by it.
func (d *daemon) yield() bool {
	if d.activated || d.busy() > 0 || !d.master.Yield() {
		return false
	}
	d.stopped()
	return true
}

// end asks run to end; the first reason counts.
func (d *daemon) end(why string) {
	select {
	case d.stop <- why:
	default:
	}
}

func (d *daemon) run(idle time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sigs := make(chan os.Signal, 1)
	signal.Notify(sigs, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
	// Taken and not looked at, rather than ignored: what is ignored stays so in a
	// ProxyCommand, which then neither ends by SIGHUP nor can trap it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGPIPE)
	accepted := make(chan struct{})
	go func() { defer close(accepted); d.accept(ctx) }()
	unwatch := d.watchNetwork(ctx)
	go d.master.Stand(ctx, d.env)
	why := d.wait(idle, sigs)
	d.log.Info("ending", "why", why)
	notify(d.manager, "STOPPING=1")
	// First nobody new: a client that connects from here on finds no socket, or
	// is reset before it is taken on, and starts another muxd.
	d.listener.Close()
	<-accepted
	if why == whyIdle || why == whyTaken {
		d.clients.Wait() // somebody came in at the last moment, and is served
	}
	unwatch()
	d.doors.Stop()
	d.master.Close()
	d.doors.Close()
	reach.EndChildren()
	d.remember()
	d.waitClients()
	cancel()
	d.log.Info("ended")
}

const (
	whyIdle  = "nothing left to do"
	whyTaken = "another process serves the socket"
)

// wait returns why to end.
func (d *daemon) wait(idle time.Duration, sigs <-chan os.Signal) string {
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	look := time.NewTicker(max(idle/20, 10*time.Millisecond))
	defer look.Stop()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	busy := time.Now()
	for {
		select {
		case s := <-sigs:
			if s != syscall.SIGUSR1 {
				return s.String()
			}
			go d.master.Stop(context.Background(), &control.StopRequest{Drain: true})
		case why := <-d.stop:
			return why
		case <-check.C:
			if err := d.listener.Check(); errors.Is(err, socket.ErrTakenOver) {
				return whyTaken
			} else if err != nil && !errors.Is(err, os.ErrClosed) { // it drains
				d.log.Warn("socket", "err", err)
			}
			d.doors.Check()
		case <-resized:
			d.doors.Resized()
		case <-look.C:
			if !d.master.Idle() || d.busy() > 0 {
				busy = time.Now()
			}
			// Whoever started this muxd comes, be the machine ever so busy; the
			// limit is for one that was killed on the way.
			if limit := max(idle, startGrace); d.auto && (d.came.Load() && time.Since(busy) >= idle || time.Since(busy) >= limit) {
				return whyIdle
			}
		}
	}
}

func (d *daemon) accept(ctx context.Context) {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			return // closed
		}
		d.came.Store(true)
		d.clients.Add(1) // for ServeConn
		go func() {
			defer d.clients.Done()
			d.server.ServeConn(ctx, c)
		}()
	}
}

// waitClients lets clients take their last frame; one that does not read holds
// up nobody for longer than the farewell. A machine that stood still for as long has
// given nobody the time: that is one of the looks.
func (d *daemon) waitClients() {
	done := make(chan struct{})
	go func() { d.clients.Wait(); close(done) }()
	const looks = 20
	for range looks {
		select {
		case <-done:
			return
		case <-time.After(farewell / looks):
		}
	}
}

// idleTime is idleExit, or what a test asks for.
func idleTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("MUXD_IDLE_EXIT")); err == nil && d > 0 {
		return d
	}
	return idleExit
}

// isActivated reports whether the service manager passed fd (sd_listen_fds(3)).
func isActivated(fd int) bool {
	pid, _ := strconv.Atoi(os.Getenv("LISTEN_PID"))
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	return pid == os.Getpid() && fd >= 3 && fd < 3+n
}
