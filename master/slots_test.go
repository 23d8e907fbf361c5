package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/login"
	"muxd/internal/reach"
	"muxd/internal/sshtest"
)

// gauge counts the connections to a server that are not logged in, by looking
// at it whenever one comes.
type gauge struct {
	mu   sync.Mutex
	srv  *sshtest.Server
	made int // guarded by mu; connections
	most int // guarded by mu; unauthenticated at a time
}

func (g *gauge) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	time.Sleep(time.Millisecond) // the client knows of a login before the server has noted it
	g.mu.Lock()
	g.made++
	g.most = max(g.most, g.made-g.srv.Logins())
	g.mu.Unlock()
	return g.srv.DialContext(ctx, network, addr)
}

func (g *gauge) want(t *testing.T, logins int) {
	t.Helper()
	if g.srv.Logins() != logins || g.most > reach.PerServer {
		t.Errorf("%d logins, want %d; %d unauthenticated at a time", g.srv.Logins(), logins, g.most)
	}
}

// ask opens a session on each of the hosts at once.
func (r *rig) askAll(hosts []string) []outcome {
	r.t.Helper()
	got := make([]outcome, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		req := r.request(h, "sleep", "1h")
		wg.Go(func() { got[i].s, got[i].err = r.m.Session(context.Background(), req, nil) })
	}
	wg.Wait()
	return got
}

func users(n int, host string) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("u%d@%s", i, host))
	}
	return all
}

// Forty users of one server log in four at a time.
func TestFourAtATime(t *testing.T) {
	inBubble(t, sshtest.Options{HandshakeDelay: time.Second}, func(t *testing.T, r *rig) {
		g := &gauge{srv: r.srv}
		r.dial = g.dial
		start := time.Now()
		for i, o := range r.askAll(users(40, "host")) {
			if o.err != nil {
				t.Errorf("user %d: %v", i, o.err)
			}
		}
		g.want(t, 40)
		if took := time.Since(start); g.most != reach.PerServer || took < 10*time.Second || took > 11*time.Second {
			t.Errorf("%d at a time, in %v", g.most, took)
		}
	})
}

// Of logins to many servers there are so many at a time: forty servers take
// three rounds.
func TestSixteenAtATime(t *testing.T) {
	hosts := names("h", 40)
	inNetwork(t, sshtest.Options{HandshakeDelay: time.Second}, hosts, hosts, func(t *testing.T, r *rig, n *network) {
		start := time.Now()
		for i, o := range r.askAll(hosts) {
			if o.err != nil {
				t.Errorf("%s: %v", hosts[i], o.err)
			}
		}
		if took := time.Since(start); n.logins(hosts...) != 40 || took < 3*time.Second || took > 4*time.Second {
			t.Errorf("%d logins in %v", n.logins(hosts...), took)
		}
	})
}

// Whoever gives up in the line is answered at once, and the slots of dials that
// fail are free again.
func TestGivingUpInLine(t *testing.T) {
	inBubble(t, sshtest.Options{HandshakeDelay: time.Hour}, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 40)
		for _, u := range users(40, "host") {
			req := r.request(u, "true")
			go func() { _, err := r.m.Session(ctx, req, nil); ended <- err }()
		}
		time.Sleep(time.Second)
		start := time.Now()
		cancel()
		for range 40 {
			if err := <-ended; err == nil {
				t.Error("a session")
			}
		}
		synctest.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("given up after %v", took)
		}
		if n := r.m.slots.Busy(); n != 0 {
			t.Errorf("the slots of %d servers are taken", n)
		}
		r.srv.Update(func(o *sshtest.Options) { o.HandshakeDelay = 0 })
		r.dial = nil
		r.run("host", "true")
	})
}

// network is a world of servers by name, each of which leads to all others.
type network struct {
	r       *rig
	servers map[string]*gauge
}

// inNetwork runs f with servers of these names. Only those in direct can be
// reached without another.
func inNetwork(t *testing.T, opts sshtest.Options, names, direct []string, f func(t *testing.T, r *rig, n *network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &network{servers: map[string]*gauge{}}
		opts.Direct = func(ctx context.Context, addr string) (io.ReadWriteCloser, error) { return n.dial(ctx, "tcp", addr) }
		r := newRig(t, sshtest.Options{})
		known := ""
		for _, name := range names {
			srv := sshtest.NewServer(opts)
			n.servers[name] = &gauge{srv: srv}
			known += name + " " + string(ssh.MarshalAuthorizedKey(srv.HostKey()))
		}
		r.write(".ssh/known_hosts", known)
		r.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if host, _, _ := net.SplitHostPort(addr); !slices.Contains(direct, host) {
				t.Errorf("dialled %s directly", addr)
			}
			return n.dial(ctx, network, addr)
		}
		n.r = r
		defer synctest.Wait()
		defer r.srv.Close()
		defer func() {
			for _, g := range n.servers {
				g.srv.Close()
			}
		}()
		defer r.m.Close()
		f(t, r, n)
	})
}

func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	g := n.servers[host]
	if g == nil {
		return nil, errors.New("no such host")
	}
	return g.dial(ctx, network, addr)
}

func (n *network) logins(names ...string) (total int) {
	for _, name := range names {
		total += n.servers[name].srv.Logins()
	}
	return total
}

func names(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s%d", prefix, i))
	}
	return all
}

// Twenty hosts behind one bastion: it is logged in to once, and what goes
// through it is four at a time.
func TestTwentyBehindOneBastion(t *testing.T) {
	inside := names("in", 20)
	inNetwork(t, sshtest.Options{HandshakeDelay: time.Second}, append(inside, "bastion"), []string{"bastion"}, func(t *testing.T, r *rig, n *network) {
		r.write(".ssh/config", "Host in*\n ProxyJump bastion\n")
		start := time.Now()
		for i, o := range r.askAll(inside) {
			if o.err != nil {
				t.Errorf("%s: %v", inside[i], o.err)
			}
		}
		if n.logins("bastion") != 1 || n.logins(inside...) != 20 {
			t.Errorf("%d logins at the bastion, %d inside", n.logins("bastion"), n.logins(inside...))
		}
		if took := time.Since(start); took < thinkingTime+time.Second || took > 7*time.Second {
			t.Errorf("it took %v: a login at the bastion and five rounds inside take six", took)
		}
	})
}

// A bastion that is down fails once for all who wait for it, not four at a time.
func TestABastionFailsOnceForAll(t *testing.T) {
	inside := names("in", 20)
	inNetwork(t, sshtest.Options{HandshakeDelay: time.Hour}, append(inside, "bastion"), []string{"bastion"}, func(t *testing.T, r *rig, n *network) {
		r.write(".ssh/config", "Host in*\n ProxyJump bastion\n")
		start := time.Now()
		for _, o := range r.askAll(inside) {
			wantError(t, o.err, control.Refused, "jump host bastion: ")
		}
		if took := time.Since(start); took > login.Timeout+time.Second || n.servers["bastion"].made != 1 {
			t.Errorf("it took %v and %d dials", took, n.servers["bastion"].made)
		}
	})
}

// A tree of bastions, wider than the slots on every level, logs in without
// waiting for itself: 6 hosts behind each of 6 bastions behind each of 6 behind
// one.
func TestNestedHopsDoNotDeadlock(t *testing.T) {
	const width = 6
	config, all := "", []string{"root"}
	var leaves []string
	for i := range width {
		b := fmt.Sprintf("b%d", i)
		all = append(all, b)
		config += "Host " + b + "\n ProxyJump root\n"
		for j := range width {
			c := fmt.Sprintf("c%d%d", i, j)
			all = append(all, c)
			config += "Host " + c + "\n ProxyJump " + b + "\n"
			// Users of one server stand for hosts: the deepest level is wide.
			leaves = append(leaves, users(2, c)...)
		}
	}
	inNetwork(t, sshtest.Options{HandshakeDelay: 100 * time.Millisecond}, all, []string{"root"}, func(t *testing.T, r *rig, n *network) {
		r.write(".ssh/config", config)
		asked := append(slices.Clone(leaves), all...) // the bastions too, as destinations
		for i, o := range r.askAll(asked) {
			if o.err != nil {
				t.Errorf("%s: %v", asked[i], o.err)
			}
		}
		for name, g := range n.servers {
			want := 1
			if strings.HasPrefix(name, "c") {
				want = 3 // two users and me
			}
			g.want(t, want)
		}
	})
}

// Four people who are asked something and do not answer keep nobody else from
// the server for longer than a moment.
func TestThinkingHoldsNoSlot(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.know()
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		people := make([]*person, reach.PerServer)
		for i := range people {
			people[i] = thinks()
			req := r.request(fmt.Sprintf("u%d@host", i), "true")
			go r.m.Session(ctx, req, people[i])
		}
		synctest.Wait()
		for i, p := range people {
			if p.Times() != 1 {
				t.Fatalf("person %d was asked %d times", i, p.Times())
			}
		}
		r.know(r.srv.HostKey())
		start := time.Now()
		s, err := r.ask(t.Context(), nil, "me@host", "true")
		if err != nil {
			t.Fatal(err)
		}
		finish(s)
		if took := time.Since(start); took > thinkingTime+time.Second {
			t.Errorf("after %v", took)
		}
	})
}

// A client goes before what is dialled for nobody also when it comes to a host
// whose own dial waits in that line.
func TestAClientPassesTheLine(t *testing.T) {
	hosts := names("h", 60)
	inNetwork(t, sshtest.Options{}, hosts, hosts, func(t *testing.T, r *rig, n *network) {
		for _, o := range r.askAll(hosts) {
			if o.err != nil {
				t.Fatal(o.err)
			}
		}
		time.Sleep(time.Minute)
		for _, h := range hosts {
			n.servers[h].srv.Update(func(o *sshtest.Options) { o.HandshakeDelay = 10 * time.Second })
			n.servers[h].srv.Last().Drop()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		var waits []string // in the line
		for _, h := range r.m.all() {
			if h.inLine.Load() {
				waits = append(waits, h.name())
			}
		}
		if len(waits) != 44 {
			t.Fatalf("%d hosts wait in line", len(waits))
		}
		start := time.Now()
		r.run(waits[43], "echo")
		if took := time.Since(start); took > 19*time.Second { // 8 s until a slot is free, and its own
			t.Errorf("it took %v", took)
		}
		time.Sleep(5 * time.Minute)
	})
}

// For all is for those that are wanted: what was told to end, and what nobody
// wants any more, is not dialled by it.
func TestReconnectAllLeavesTheIdle(t *testing.T) {
	hosts := names("h", 3)
	inNetwork(t, sshtest.Options{}, hosts, hosts, func(t *testing.T, r *rig, n *network) {
		for _, o := range r.askAll(hosts) {
			if o.err != nil {
				t.Fatal(o.err)
			}
		}
		m, err := r.m.Manage(t.Context(), &control.ManageRequest{Command: "exit", Dest: r.request("h1").Dest})
		if err != nil || m.Code != 0 {
			t.Errorf("%+v, %v", m, err)
		}
		time.Sleep(2 * time.Second)
		m, err = r.m.Admin(t.Context(), &control.AdminRequest{Command: "reconnect"})
		if err != nil || m.Code != 0 || m.Text != "h0: ready\nh2: ready" {
			t.Errorf("%+v, %v", m, err)
		}
		m, err = r.m.Admin(t.Context(), &control.AdminRequest{Command: "recycle"})
		if err != nil || m.Code != 0 {
			t.Errorf("%+v, %v", m, err)
		}
		if got := n.logins("h1"); got != 1 {
			t.Errorf("%d logins", got)
		}
	})
}
