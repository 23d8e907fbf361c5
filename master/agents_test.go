package master

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"muxd/control"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
)

// agents are the agents of this machine, in memory.
type agents struct {
	mu    sync.Mutex
	paths map[string]func(ctx context.Context) (net.Conn, error) // guarded by mu
	names map[string]string                                      // guarded by mu; by the fingerprint of the key that the agent has
}

// agents has agents listen at the paths.
func (r *rig) agents(paths ...string) *agents {
	as := &agents{paths: map[string]func(context.Context) (net.Conn, error){}, names: map[string]string{}}
	for _, path := range paths {
		key := sshtest.NewKey()
		a := sshtest.NewAgent(key)
		as.names[ssh.FingerprintSHA256(key.PublicKey())] = path
		as.paths[path] = func(context.Context) (net.Conn, error) {
			near, far := sshtest.Pipe()
			go a.Serve(far)
			return near, nil
		}
	}
	r.m.cfg.DialAgent = func(ctx context.Context, path string) (net.Conn, error) {
		as.mu.Lock()
		dial := as.paths[path]
		as.mu.Unlock()
		if dial == nil {
			return nil, errors.New("no such file or directory")
		}
		return dial(ctx)
	}
	return as
}

// set has something else be at the path, nil for nothing.
func (as *agents) set(path string, dial func(ctx context.Context) (net.Conn, error)) {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.paths[path] = dial
}

// counts has an agent at the path that says nothing, and counts the connections
// to it that ended.
func (as *agents) counts(path string) *atomic.Int32 {
	ended := new(atomic.Int32)
	as.set(path, func(context.Context) (net.Conn, error) {
		near, far := sshtest.Pipe()
		go func() {
			io.Copy(io.Discard, far)
			ended.Add(1)
			far.Close()
		}()
		return near, nil
	})
	return ended
}

// at is the path of the agent that a channel of that connection leads to, or
// why it leads nowhere.
func (as *agents) at(p *sshtest.Peer) string {
	ch, err := p.OpenAgent()
	if err != nil {
		return err.Error()
	}
	defer ch.Close()
	return as.through(ch)
}

func (as *agents) through(ch ssh.Channel) string {
	keys, err := agent.NewClient(struct{ io.ReadWriter }{ch}).List() // which then leaves no reader behind
	if err != nil {
		return err.Error()
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.names[ssh.FingerprintSHA256(keys[0])]
}

// lends opens a session of a client in whose environment that agent is, and
// which forwards it.
func (r *rig) lends(path string, args ...string) *sshlink.Session {
	r.t.Helper()
	r.env = []string{"SSH_AUTH_SOCK=" + path}
	return r.open(append([]string{"-A", "host"}, args...)...)
}

const nobodyLends = "ssh: rejected: administratively prohibited (\"open failed\")"

// An agent is lent by the session that asked for it, for as long as it lasts,
// and by nobody else. Clients with the same agent share a connection.
func TestAgentIsLentBySessions(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		as := r.agents("/a")
		r.env = []string{"SSH_AUTH_SOCK=/a"}
		plain := r.open("host", "cat")
		off := r.open("-A", "-a", "host", "cat")
		p := r.srv.Last()
		if got := as.at(p); got != nobodyLends {
			t.Errorf("nobody asked: %s", got)
		}
		first, second := r.lends("/a", "cat"), r.lends("/a", "cat")
		if n := r.srv.Count(sshtest.ChannelRequest, "auth-agent-req@openssh.com"); n != 2 {
			t.Errorf("%d of 2 sessions asked", n)
		}
		if got := as.at(p); got != "/a" {
			t.Error(got)
		}
		ch, err := p.OpenAgent() // of the second, which is the newest
		if err != nil {
			t.Fatal(err)
		}
		first.Close()
		synctest.Wait()
		if got := as.through(ch); got != "/a" {
			t.Errorf("after the first one's end: %s", got)
		}
		second.Close()
		synctest.Wait()
		if got := as.through(ch); got == "/a" {
			t.Error("an ended session lends its agent")
		}
		if got := as.at(p); got != nobodyLends {
			t.Errorf("nobody asks any more: %s", got)
		}
		plain.Close()
		off.Close()
		r.wantLogins(1)
	})
}

// The newest that is still there lends, and with its end the next one does, in the
// middle of what goes on: the program at the far end may be that one's.
func TestAgentOfTheNewest(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		as := r.agents("/a")
		first, second, third := r.lends("/a", "cat"), r.lends("/a", "cat"), r.lends("/a", "cat")
		ch, err := r.srv.Last().OpenAgent()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*sshlink.Session{third, first} {
			s.Close()
			synctest.Wait()
			if got := as.through(ch); got != "/a" {
				t.Errorf("after one's end: %s", got)
			}
		}
		second.Close()
		synctest.Wait()
		if got := as.through(ch); got == "/a" {
			t.Error("it outlives the last one")
		}
	})
}

// What a client lends goes with the client, whatever the server says: one that
// never confirms a session's end gets no more of its agent.
func TestAgentGoesWithItsClient(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		ends := r.agents().counts("/a")
		s := r.lends("/a", "cat")
		p := r.srv.Last()
		if _, err := p.OpenAgent(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := ends.Swap(0); n != 1 { // the look whether it is there
			t.Fatalf("%d connections to the agent ended", n)
		}
		p.Pipe().In().Stall() // the server hears of no end, and says what it likes
		s.Close()
		synctest.Wait()
		confirmed := make(chan struct{})
		go func() { s.Wait(); close(confirmed) }()
		synctest.Wait()
		select {
		case <-confirmed:
			t.Fatal("the end was confirmed")
		default:
		}
		if n := ends.Load(); n != 1 {
			t.Error("the agent is lent by nobody")
		}
	})
}

// A second agent has a connection of its own, because the server does not say
// for which session it opens. What forwards none goes anywhere.
func TestTwoAgents(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		as := r.agents("/a", "/b")
		a := r.lends("/a", "cat")
		r.wantLogins(1)
		b := r.lends("/b", "cat")
		r.wantLogins(2)
		r.wantLinks("ready ready")
		again, plain := r.lends("/a", "cat"), r.open("host", "cat")
		bs := []*sshlink.Session{r.lends("/b", "cat"), r.lends("/b", "cat")}
		r.wantLogins(2)
		peers := r.srv.Peers()
		if got := as.at(peers[0]) + as.at(peers[1]); got != "/a/b" {
			t.Error(got)
		}
		if again.Link() != a.Link() || bs[0].Link() != b.Link() || bs[1].Link() != b.Link() {
			t.Error("the same agent on another connection")
		}
		// With its last one gone, the connection is free for the other agent.
		a.Close()
		synctest.Wait()
		early := r.lends("/b", "cat")
		if early.Link() != b.Link() {
			t.Error("another agent where one is forwarded by a session that is left")
		}
		again.Close()
		synctest.Wait()
		c := r.lends("/b", "cat")
		if c.Link() == b.Link() && c.Link() != r.host().current.Link {
			t.Error("not on the connection in service")
		}
		r.wantLogins(2)
		for _, s := range append(bs, b, c, early, plain) {
			s.Close()
		}
		synctest.Wait()
		d := r.lends("/a", "cat")
		if got := as.at(peers[d.Link().ID-1]); got != "/a" {
			t.Errorf("link %d: %s", d.Link().ID, got)
		}
		d.Close()
	})
}

// Where a further login needs a person, the second agent is refused in a
// sentence, once the server was asked and from then on at once.
func TestTwoAgentsAndAPerson(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
		r.patient()
		as := r.agents("/a", "/b")
		r.env = []string{"SSH_AUTH_SOCK=/a"}
		s, err := r.ask(t.Context(), says("secret"), "-A", "host", "cat")
		if err != nil {
			t.Fatal(err)
		}
		r.env = []string{"SSH_AUTH_SOCK=/b"}
		for range 3 {
			p := says("secret")
			began := time.Now()
			_, err := r.ask(t.Context(), p, "-A", "host", "cat")
			wantError(t, err, control.Refused, "host: another agent is forwarded on the connection", "end the session that forwards it", "-S none")
			if p.Times() > 0 {
				t.Errorf("asked %v for a further connection", p.Asked())
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("refused after %v", took)
			}
		}
		if n := len(r.srv.Peers()); n != 2 {
			t.Errorf("%d connections, want one attempt beside the first", n)
		}
		// Nobody else is held up, and the first may end.
		other, err := r.ask(t.Context(), nil, "host", "cat")
		if err != nil {
			t.Fatal(err)
		}
		if got := as.at(r.srv.Peers()[0]); got != "/a" {
			t.Error(got)
		}
		s.Close()
		synctest.Wait()
		b := r.lends("/b", "cat")
		if got := as.at(r.srv.Peers()[0]); got != "/b" {
			t.Error(got)
		}
		b.Close()
		other.Close()
		r.wantLogins(1)
	})
}

// As many connections as MaxConnections allows, and no more: the next agent is
// refused and says why.
func TestAgentsOnAllConnections(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.agents("/a", "/b", "/c")
		r.write(".config/muxd/config", "MaxConnections 2\n")
		a, b := r.lends("/a", "cat"), r.lends("/b", "cat")
		r.env = []string{"SSH_AUTH_SOCK=/c"}
		_, err := r.ask(t.Context(), nil, "-A", "host", "true")
		wantError(t, err, control.Refused, "host: other agents are forwarded", "MaxConnections")
		r.run("host", "true")
		r.wantLogins(2)
		a.Close()
		b.Close()
	})
}

// Two agents at the same moment, before there is any connection.
func TestTwoAgentsAtOnce(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		as := r.agents("/a", "/b")
		var reqs []*control.SessionRequest
		for i := range 20 {
			r.env = []string{"SSH_AUTH_SOCK=" + []string{"/a", "/b"}[i%2]}
			reqs = append(reqs, r.request("-A", "host", "cat"))
		}
		var wg sync.WaitGroup
		ss := make([]control.Stream, len(reqs))
		for i, req := range reqs {
			wg.Go(func() {
				s, err := r.m.Session(t.Context(), req, nil)
				if err != nil {
					t.Error(err)
				}
				ss[i] = s
			})
		}
		wg.Wait()
		r.wantLogins(2)
		got := map[string]bool{}
		for _, p := range r.srv.Peers() {
			got[as.at(p)] = true
		}
		if !got["/a"] || !got["/b"] || len(got) != 2 {
			t.Errorf("%v", got)
		}
		for i, s := range ss {
			if s.(*sshlink.Session).Link() != ss[i%2].(*sshlink.Session).Link() {
				t.Errorf("%d is on another connection than others with its agent", i)
			}
			s.Close()
		}
	})
}

// The connection that is dialled beside a silent one takes the agent over.
func TestAgentOnAReplacement(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		as := r.agents("/a", "/b")
		old := r.lends("/a", "cat")
		r.srv.Last().Pipe().Stall()
		time.Sleep(time.Minute)
		r.wantLinks("suspect ready")
		b := r.lends("/b", "cat")
		r.wantLogins(2)
		if got := as.at(r.srv.Last()); got != "/b" {
			t.Error(got)
		}
		old.Close()
		b.Close()
	})
}

// An agent that is gone is refused to the server, and nothing else: the session
// runs, and what comes later is tried anew.
func TestDeadAgent(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		as := r.agents("/a")
		alive := as.paths["/a"]
		as.set("/a", nil)
		s := r.lends("/a", "cat")
		p := r.srv.Last()
		if got := as.at(p); got != "ssh: rejected: connect failed (\"agent connection failed\")" {
			t.Error(got)
		}
		if got, err := exchangeStream(s, "well"); got != "well" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		as.set("/a", alive)
		if got := as.at(p); got != "/a" {
			t.Error(got)
		}
		s.Close()
	})
}

// A window that outlived its agent forwards none, as with ssh: it neither takes the
// connection's one place for an agent nor needs a connection of its own.
func TestAgentThatIsNotThere(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		as := r.agents("/a")
		for path, err := range map[string]error{"/gone": syscall.ENOENT, "/dead": syscall.ECONNREFUSED} {
			as.set(path, func(context.Context) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Err: err} })
		}
		gone := r.lends("/gone", "cat")
		a := r.lends("/a", "cat")
		dead := r.lends("/dead", "cat")
		r.wantLogins(1)
		if got := as.at(r.srv.Last()); got != "/a" {
			t.Error(got)
		}
		for _, s := range []control.Stream{gone, a, dead} {
			s.Close()
		}
	})
}

// The channels of a lost connection let go of the agent.
func TestAgentAndALostConnection(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		ends := r.agents().counts("/a")
		s := r.lends("/a", "cat")
		for range 10 {
			if _, err := r.srv.Last().OpenAgent(); err != nil {
				t.Fatal(err)
			}
		}
		r.srv.Last().Drop()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := ends.Load(); n < 10 { // and the look whether it lives, before the next login
			t.Errorf("%d of 10 connections to the agent ended with the SSH connection", n)
		}
		s.Close()
	})
}

// Nothing is lent to a server that is not known to be the one: neither asked
// for nor given.
func TestNothingIsLentToAStranger(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		as := r.agents("/a")
		r.know(sshtest.NewKey().PublicKey())
		r.env = []string{"SSH_AUTH_SOCK=/a"}
		p := &person{}
		s, err := r.ask(t.Context(), p, "-A", "-o", "StrictHostKeyChecking=no", "host", "cat")
		if err != nil {
			t.Fatal(err)
		}
		if n := r.srv.Count(sshtest.ChannelRequest, "auth-agent-req@openssh.com"); n != 0 {
			t.Error("it was asked for")
		}
		if got := as.at(r.srv.Last()); got != nobodyLends {
			t.Error(got)
		}
		if told := p.Told(); !strings.Contains(told, "muxc: host: the server's host key is not the one that is known: no forward, no agent and no display") {
			t.Errorf("told %q", told)
		}
		s.Close()
	})
}
