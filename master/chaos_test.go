package master

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/login"
	"muxd/internal/sshtest"
)

var (
	chaosSeeds = flag.Int("chaos", 0, "how many random histories TestWhateverHappens goes through; 0: 10, and 40 under the race detector")
	chaosFirst = flag.Uint64("chaos.seed", 1, "the first of them")
)

// Whatever happens, in whatever order: who asks is answered, who has a bound
// within it, no command runs twice, no timer repeats what only a person can
// mend, and when nobody wants anything any more nothing is left to happen.
func TestWhateverHappens(t *testing.T) {
	seeds := *chaosSeeds
	if seeds == 0 {
		if seeds = 10; sshtest.Raced {
			seeds = 40 // the more telling run
		}
	}
	for n := range seeds {
		seed := *chaosFirst + uint64(n)
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &chaos{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), name: "host"}
				c.build(seed%2 == 0, seed%3 == 0, seed%5 == 0)
				defer c.close()
				c.history()
			})
		})
	}
}

// chaos is one random history.
type chaos struct {
	t     *testing.T
	r     *rig
	rnd   *rand.Rand
	name  string          // of the destination
	far   *sshtest.Server // behind the jump host, or the only one
	began time.Time
	shore *shore
	asks  bool // a login needs a person
	few   bool // the server takes few sessions on a connection

	mu      sync.Mutex
	dials   []time.Time // guarded by mu; to r.srv
	fault   string      // guarded by mu; of the network
	faultIn string      // guarded by mu; of the network behind the jump host
	asked   int         // guarded by mu
	open    []*plea     // guarded by mu; not answered
	streams []control.Stream
	crowd   bool           // guarded by mu; connections beyond the first are dialled: starts may be close
	never   []string       // guarded by mu; tokens that provably did not run
	holders []*chaosClient // guarded by mu; who has forwards
	exits   int            // guarded by mu; orders to end so far
	log     []string       // guarded by mu
}

// plea is one request.
type plea struct {
	at     time.Time
	what   string
	bound  time.Duration // forever: none
	cancel context.CancelFunc
}

func (c *chaos) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

func (c *chaos) fail(format string, args ...any) {
	c.t.Helper()
	c.t.Errorf(format, args...)
	c.note("FAIL "+format, args...)
}

// build makes the server, or two of them.
func (c *chaos) build(hop, few, asks bool) {
	var opts sshtest.Options
	if c.asks = asks; asks {
		opts.Password = "secret"
	}
	if few {
		c.few, c.crowd = true, true
		opts.MaxSessions = 2
	}
	c.far = sshtest.NewServer(opts)
	if hop {
		c.name = "inside"
		opts.Direct = func(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
			c.mu.Lock()
			fault := c.faultIn
			c.mu.Unlock()
			if fault == "refused" {
				return nil, errDown
			}
			return c.far.DialContext(ctx, "tcp", addr)
		}
	}
	c.r = newRig(c.t, opts)
	c.know(true)
	if !hop {
		c.far = c.r.srv
	}
	c.shore = c.r.ashore()
	for _, at := range []string{"x:22", "x:23", "x:24"} {
		c.shore.echoes(at)
	}
}

func (c *chaos) close() {
	c.r.m.Close()
	c.r.srv.Close()
	c.far.Close()
	synctest.Wait()
}

// know says whether known_hosts knows the server that is dialled.
func (c *chaos) know(it bool) {
	key := c.r.srv.HostKey()
	if !it {
		key = sshtest.NewKey().PublicKey()
	}
	near := "host"
	if c.name == "inside" {
		near = "bastion"
	}
	c.r.write(".ssh/known_hosts", near+" "+string(ssh.MarshalAuthorizedKey(key))+"inside "+string(ssh.MarshalAuthorizedKey(c.far.HostKey())))
}

// peers are all connections of both servers, in some order.
func (c *chaos) peers() []*sshtest.Peer {
	all := c.r.srv.Peers()
	if c.far != c.r.srv {
		all = append(all, c.far.Peers()...)
	}
	return all
}

// peer is one of the newest connections.
func (c *chaos) peer() *sshtest.Peer {
	srv := c.r.srv
	if c.rnd.IntN(2) == 0 {
		srv = c.far
	}
	return srv.Last()
}

func (c *chaos) history() {
	c.began, c.r.dial = time.Now(), c.dial
	conf := "ControlPersist " + c.oneOf("30", "yes", "no", "600") + c.oneOf("", "", "\nPinned yes") + "\n"
	c.note("%q", conf)
	c.r.write(".config/muxd/config", conf)
	if c.name == "inside" {
		c.r.write(".ssh/config", "Host inside\n ProxyJump bastion\n")
	}
	for range 30 + c.rnd.IntN(40) {
		c.step()
		c.pause()
		c.atRest()
	}
	c.heal()
	c.calm()
	if c.t.Failed() {
		for _, l := range c.log {
			c.t.Log(l)
		}
	}
}

func (c *chaos) oneOf(words ...string) string { return words[c.rnd.IntN(len(words))] }

func (c *chaos) pause() {
	ds := []time.Duration{0, 0, time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second, 11 * time.Second, 40 * time.Second, 200 * time.Second}
	time.Sleep(ds[c.rnd.IntN(len(ds))])
	synctest.Wait()
}

// dial is the network.
func (c *chaos) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	c.dials = append(c.dials, time.Now())
	n, crowd, fault := len(c.dials), c.crowd, c.fault
	if n > 1 && !crowd {
		if d := c.dials[n-1].Sub(c.dials[n-2]); d < time.Second {
			c.t.Errorf("a dial %v after the one before", d)
		}
	}
	c.mu.Unlock()
	c.note("dial (%s)", fault)
	for _, h := range c.r.m.all() {
		h.call(func() {
			if h.blocked != nil && h.dialing != nil && h.dialing.purpose == forReturn {
				c.fail("a timer dials a blocked host: %v", h.blocked)
			}
		})
	}
	switch fault {
	case "refused":
		return nil, errDown
	case "hangs":
		<-ctx.Done()
		return nil, ctx.Err()
	case "slow":
		time.Sleep(700 * time.Millisecond)
	}
	return c.r.srv.DialContext(ctx, network, addr)
}

func (c *chaos) dest() *dest.Destination {
	return c.r.request(c.name).Dest.(*dest.Destination)
}

func (c *chaos) set(fault string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = fault
}

func (c *chaos) step() {
	switch n := c.rnd.IntN(30); {
	case n < 7:
		c.request()
	case n < 8:
		c.waitReady()
	case n < 10:
		if p := c.peer(); p != nil {
			c.note("drop")
			p.Drop()
		}
	case n < 12:
		if p := c.peer(); p != nil && p.Pipe() != nil {
			c.note("silence")
			p.Pipe().Stall()
		}
	case n < 14:
		for _, p := range c.peers() {
			if p.Pipe() != nil {
				p.Pipe().Resume()
			}
		}
		c.note("sound")
	case n < 17:
		c.weather()
	case n < 18:
		c.note("network changed")
		c.r.m.NetworkChanged()
	case n < 19:
		c.note("woke")
		c.r.m.Woke(time.Minute)
	case n < 21:
		c.end()
	case n < 22:
		c.order()
	case n < 28:
		c.forwardStep()
	default:
		c.leave()
	}
}

// weather changes what the next dials meet.
func (c *chaos) weather() {
	if c.rnd.IntN(3) == 0 {
		c.mu.Lock()
		c.faultIn = c.oneOf("", "refused")
		c.mu.Unlock()
	}
	fault := c.oneOf("", "", "refused", "hangs", "slow", "busy", "stranger")
	c.note("weather %q", fault)
	c.set(fault)
	c.r.srv.Update(func(o *sshtest.Options) { o.Greeting = "" })
	c.know(true)
	switch fault {
	case "busy":
		c.r.srv.Update(func(o *sshtest.Options) { o.Greeting = "Exceeded MaxStartups\r\n" })
	case "stranger":
		c.know(false)
	}
}

// heal makes the world well.
func (c *chaos) heal() {
	c.note("heal")
	c.faultIn = ""
	c.set("")
	c.r.srv.Update(func(o *sshtest.Options) { o.Greeting = "" })
	c.know(true)
	for _, p := range c.peers() {
		if p.Pipe() != nil {
			p.Pipe().Resume()
		}
	}
}

// request is a command whose client may grow tired of waiting.
func (c *chaos) request() {
	ctx, cancel := context.WithCancel(context.Background())
	pl := &plea{at: time.Now(), cancel: cancel}
	args := []string{"-o", "WaitForReady=" + c.oneOf("no", "5", "45", "yes")}
	c.mu.Lock()
	c.asked++
	token := fmt.Sprintf("token%d", c.asked)
	c.mu.Unlock()
	args = append(args, c.name, c.oneOf("echo "+token, "sleep 9h "+token))
	pl.what = fmt.Sprint(args)
	req := c.r.request(args...)
	pl.bound = req.Dest.(*dest.Destination).Patience
	stay := time.Duration(0)
	if c.rnd.IntN(4) == 0 {
		stay = time.Duration(c.rnd.IntN(20)) * time.Second
		time.AfterFunc(stay, cancel)
	}
	p := c.person()
	p.Hurry = make(chan struct{}, 1)
	if c.rnd.IntN(5) == 0 {
		p.Hurry <- struct{}{}
	}
	c.mu.Lock()
	c.open = append(c.open, pl)
	c.mu.Unlock()
	c.note("ask %s", pl.what)
	bare := c.rnd.IntN(2) == 0
	go func() {
		if bare { // how long the wait itself takes
			ls, err := c.r.m.acquireBare(ctx, req.Dest.(*dest.Destination), p)
			took := time.Since(pl.at)
			c.note("lease %s: %v after %v", pl.what, err, took)
			if limit := pl.bound + c.slack(); pl.bound != dest.Forever && took > limit && !c.asks {
				c.fail("%s was answered after %v: %v", pl.what, took, err)
			}
			if err == nil {
				ls.release()
			}
			c.answered(pl)
			return
		}
		s, err := c.r.m.Session(ctx, req, p)
		c.note("answer %s: %v", pl.what, err)
		c.answered(pl)
		var e *control.Error
		if err != nil && (!errors.As(err, &e) || !e.Phase.MayHaveRun()) {
			c.mu.Lock()
			c.never = append(c.never, token)
			c.mu.Unlock()
		}
		if err == nil {
			c.mu.Lock()
			c.streams = append(c.streams, s)
			c.mu.Unlock()
			finish(s)
		}
	}()
}

// slack is how long one dial may take: a connect and a handshake, of the jump
// host too.
func (c *chaos) slack() time.Duration {
	one := dest.DialTimeout + login.Timeout + time.Second
	if c.name == "inside" {
		return 2*one + openTimeout
	}
	return one
}

// person may be slow, wrong or not there.
func (c *chaos) person() *person {
	takes, word := time.Duration(c.rnd.IntN(3)*c.rnd.IntN(10))*time.Second, c.oneOf("secret", "secret", "secret", "wrong", "")
	return &person{OnPrompt: func(ctx context.Context, _ control.Prompt) (control.Answer, error) {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return control.Answer{}, ctx.Err()
		}
		if word == "" {
			return control.Answer{}, control.ErrNobody
		}
		return control.Answer{Text: word}, nil
	}}
}

func (c *chaos) answered(pl *plea) {
	pl.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, x := range c.open {
		if x == pl {
			c.open = append(c.open[:i:i], c.open[i+1:]...)
			return
		}
	}
	c.t.Errorf("%s was answered twice", pl.what)
}

// waitReady is muxd wait.
func (c *chaos) waitReady() {
	ctx, cancel := context.WithCancel(context.Background())
	pl := &plea{at: time.Now(), what: "wait", bound: dest.Forever, cancel: cancel}
	a := &control.AdminRequest{Command: "wait", Down: c.rnd.IntN(2) == 0, Limit: time.Duration(1+c.rnd.IntN(90)) * time.Second, Dest: c.dest()}
	c.mu.Lock()
	c.open = append(c.open, pl)
	c.mu.Unlock()
	c.note("wait down=%v %v", a.Down, a.Limit)
	go func() {
		m, err := c.r.m.Admin(ctx, a)
		if took := time.Since(pl.at); took > a.Limit {
			c.fail("muxd wait took %v, with a limit of %v: %+v, %v", took, a.Limit, m, err)
		}
		c.answered(pl)
	}()
}

// end has one client go away.
func (c *chaos) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.streams); n > 0 {
		c.streams[n-1].Close()
		c.streams = c.streams[:n-1]
	}
}

// leave has one that waits go away.
func (c *chaos) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.open); n > 0 {
		c.open[c.rnd.IntN(n)].cancel()
	}
}

// order is a person's at the machine.
func (c *chaos) order() {
	what := c.oneOf("exit", "stop", "reconnect", "recycle", "check")
	c.note("order %s", what)
	if what == "exit" {
		c.mu.Lock()
		c.exits++
		c.mu.Unlock()
	}
	go func() {
		d := c.dest()
		var err error
		switch what {
		case "reconnect", "recycle":
			if what == "recycle" {
				c.mu.Lock()
				c.crowd = true
				c.mu.Unlock()
			}
			_, err = c.r.m.Admin(context.Background(), &control.AdminRequest{Command: what, Dest: d})
		default:
			_, err = c.r.m.Manage(context.Background(), &control.ManageRequest{Command: what, Dest: d})
		}
		c.note("order %s: %v", what, err)
	}()
}
