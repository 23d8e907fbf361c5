package master

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/control/controltest"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
	"muxd/internal/wire"
)

// rig is a whole Master in virtual time, and a server in memory at the end of
// every connection that it dials.
type rig struct {
	t    *testing.T
	m    *Master
	srv  *sshtest.Server
	home string
	dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil: srv
	env  []string                                                          // of every client
	stop int                                                               // calls of OnStop
	mu   sync.Mutex                                                        // of dial, where it is set by through
}

// through has every dial from now on go there, also while others are under way;
// nil is the server.
func (r *rig) through(dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dial = dial
}

// long is how often or how long something goes on that is the same each time:
// under the race detector, which sees nothing new in it, a sixth of n.
func long(n time.Duration) time.Duration {
	if sshtest.Raced {
		return n / 6
	}
	return n
}

// inBubble runs f with a rig whose server is known to the user as "host".
func inBubble(t *testing.T, opts sshtest.Options, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, opts)
		defer r.close()
		f(t, r)
	})
}

func newRig(t *testing.T, opts sshtest.Options) *rig {
	t.Helper()
	if opts.Config.KeyExchanges == nil {
		opts.Config.KeyExchanges = []string{"curve25519-sha256"} // the cheapest: a test logs in often
	}
	opts.Commands = maps.Clone(opts.Commands)
	if opts.Commands == nil {
		opts.Commands = map[string]sshtest.Command{}
	}
	opts.Commands["true"] = func(*sshtest.Session, []string) sshtest.Exit { return sshtest.Exit{} }
	r := &rig{t: t, srv: sshtest.NewServer(opts), home: t.TempDir()}
	if err := os.Mkdir(filepath.Join(r.home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.know(r.srv.HostKey())
	r.impatient()
	r.m = New(Config{Log: slog.New(slog.DiscardHandler), Home: r.home, User: "me", SystemFile: filepath.Join(r.home, "none"),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			r.mu.Lock()
			dial := r.dial
			r.mu.Unlock()
			if dial != nil {
				return dial(ctx, network, addr)
			}
			return r.srv.DialContext(ctx, network, addr)
		},
		OnStop: func() { r.stop++ }})
	return r
}

// impatient has every request make one attempt. Tests of the wait say otherwise
// by -o or by patient.
func (r *rig) impatient() {
	if err := os.MkdirAll(filepath.Join(r.home, ".config", "muxd"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	r.write(".config/muxd/config", "WaitForReady no\n")
}

// patient has the defaults hold.
func (r *rig) patient() { r.write(".config/muxd/config", "") }

func (r *rig) close() {
	r.m.Close()
	r.srv.Close()
	time.Sleep(wire.LastPackets) // of links that a test dialled by itself
	synctest.Wait()
}

func (r *rig) knownHosts() string { return filepath.Join(r.home, ".ssh", "known_hosts") }

// know makes the keys the only ones known for host.
func (r *rig) know(keys ...ssh.PublicKey) {
	text := ""
	for _, k := range keys {
		text += "host " + string(ssh.MarshalAuthorizedKey(k))
	}
	r.write(".ssh/known_hosts", text)
}

func (r *rig) write(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// plan resolves a command line.
func (r *rig) plan(p control.Prompter, args ...string) (*control.Plan, error) {
	return r.m.Resolve(context.Background(), &control.Invocation{Args: args, Dir: r.home, Env: r.env}, p)
}

func (r *rig) request(args ...string) *control.SessionRequest {
	r.t.Helper()
	plan, err := r.plan(nil, args...)
	if err != nil {
		r.t.Fatalf("resolve %q: %v", args, err)
	}
	return plan.Session
}

// ask opens a session as a client with a person p behind it.
func (r *rig) ask(ctx context.Context, p control.Prompter, args ...string) (control.Stream, error) {
	r.t.Helper()
	return r.m.Session(ctx, r.request(args...), p)
}

// open opens a session that must open.
func (r *rig) open(args ...string) *sshlink.Session {
	r.t.Helper()
	s, err := r.ask(context.Background(), nil, args...)
	if err != nil {
		r.t.Fatalf("%q: %v\n%s", args, err, r.srv.Dump())
	}
	return s.(*sshlink.Session)
}

// link is the link that a session is on.
func (r *rig) link(s control.Stream) *link {
	r.t.Helper()
	var on *link
	for _, h := range r.m.all() {
		h.call(func() {
			for l := range h.links {
				if l.Link == s.(*sshlink.Session).Link() {
					on = l
				}
			}
		})
	}
	if on == nil {
		r.t.Fatal("the session's link is gone")
	}
	return on
}

// finish reads a session to its end, and closes it as each door does.
func finish(s control.Stream) (string, control.Exit, error) {
	defer s.Close()
	go io.Copy(io.Discard, s.Stderr())
	out, _ := io.ReadAll(s)
	exit, err := s.Wait()
	return string(out), exit, err
}

// run is a command that must end well, and the time to look at what is left.
func (r *rig) run(args ...string) string {
	r.t.Helper()
	out, exit, err := finish(r.open(args...))
	if err != nil || exit != (control.Exit{}) {
		r.t.Fatalf("%q: %q, %+v, %v", args, out, exit, err)
	}
	synctest.Wait()
	return out
}

// hangUp ends the connection as -O exit does, and lets the least pause between
// two dials pass.
func (r *rig) hangUp() {
	h := r.host()
	h.call(func() { h.shut(sshlink.ErrAsked); h.dismiss() })
	time.Sleep(time.Second)
	synctest.Wait()
}

// host returns the one destination there is, nil without one.
func (r *rig) host() *host {
	r.t.Helper()
	hs := r.m.all()
	switch len(hs) {
	case 0:
		return nil
	case 1:
		return hs[0]
	}
	r.t.Fatalf("%d hosts", len(hs))
	return nil
}

// state is what status shows of the one destination, after all is quiet.
func (r *rig) state() string {
	r.t.Helper()
	synctest.Wait()
	h := r.host()
	if h == nil {
		return "forgotten"
	}
	return h.status().State
}

// links are the states of the destination's connections, oldest first.
func (r *rig) links() string {
	r.t.Helper()
	synctest.Wait()
	var all []string
	if h := r.host(); h != nil {
		for _, l := range h.status().Links {
			all = append(all, l.State)
		}
	}
	return strings.Join(all, " ")
}

func (r *rig) wantLogins(n int) {
	r.t.Helper()
	synctest.Wait() // the server may count the last one a moment after it was of use
	if got := r.srv.Logins(); got != n {
		r.t.Errorf("%d logins, want %d\n%s", got, n, r.srv.Dump())
	}
}

func (r *rig) wantState(want string) {
	r.t.Helper()
	if got := r.state(); got != want {
		r.t.Errorf("state %q, want %q", got, want)
	}
}

func (r *rig) wantLinks(want string) {
	r.t.Helper()
	if got := r.links(); got != want {
		r.t.Errorf("links %q, want %q", got, want)
	}
}

// execs are the commands that the server was handed, in order.
func (r *rig) execs() []string { return execs(r.srv) }

func execs(srv *sshtest.Server) []string {
	var all []string
	for _, e := range srv.Events(sshtest.ChannelRequest) {
		var m struct{ Text string }
		if e.Name == "exec" && ssh.Unmarshal(e.Payload, &m) == nil {
			all = append(all, m.Text)
		}
	}
	return all
}

// just checks what is true a millisecond before d from now and no more at d.
func just(t *testing.T, d time.Duration, what string, f func() bool) {
	t.Helper()
	time.Sleep(d - time.Millisecond)
	synctest.Wait()
	if !f() {
		t.Errorf("%s: no more true 1 ms before %v", what, d)
	}
	time.Sleep(time.Millisecond)
	synctest.Wait()
	if f() {
		t.Errorf("%s: still true at %v", what, d)
	}
}

var wantError = controltest.WantError

// person answers prompts as told, and remembers.
type person = controltest.Person

var (
	says   = controltest.Says
	fails  = controltest.Fails
	thinks = controltest.Thinks
)

// answered wants a request to have ended well by now.
func answered(t *testing.T, got <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-got:
		if err != nil {
			t.Error(err)
		}
	default:
		t.Error("it still waits")
	}
}

// outcome is what became of one of many requests.
type outcome struct {
	s   control.Stream
	err error
}

// many makes a request for each person at once and returns all outcomes, in
// their order. What opened is still open.
func (r *rig) many(people []control.Prompter, args ...string) []outcome {
	r.t.Helper()
	got := make([]outcome, len(people))
	var wg sync.WaitGroup
	for i, p := range people {
		req := r.request(args...)
		wg.Go(func() { got[i].s, got[i].err = r.m.Session(context.Background(), req, p) })
	}
	wg.Wait()
	return got
}

// persons are n requests with nobody behind them.
func persons(n int) []control.Prompter { return make([]control.Prompter, n) }
