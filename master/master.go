package master

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/gate"
	"muxd/internal/notify"
	"muxd/internal/reach"
	"muxd/internal/sshauth"
)

// Config is what a Master needs from outside. The zero value of a field that
// is not marked as required means the default named there.
type Config struct {
	Log    *slog.Logger // required
	Build  string       // for status
	Socket string       // where clients connect, for status
	Home   string       // the home directory by the password database; required
	User   string       // the local user's name; required
	// UserFile and SystemFile are ssh's configuration files; "" means
	// Home/.ssh/config and /etc/ssh/ssh_config. OwnFile is muxd's own.
	UserFile, SystemFile, OwnFile string
	// Dial makes the connection to a server; nil is TCP. Tests put a pipe here.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Lookup resolves a name for CanonicalizeHostname; nil is the system's
	// resolver. network is ip, ip4 or ip6.
	Lookup func(ctx context.Context, network, name string) (cname string, found bool, err error)
	// Listen listens on this machine for forwards, and DialTarget connects to
	// where remote ones lead; nil is the system's.
	Listen     func(at control.Endpoint, how control.ForwardOptions) ([]net.Listener, error)
	DialTarget func(ctx context.Context, network, addr string) (net.Conn, error)
	// Resolve finds the addresses of a name; network is tcp, tcp4 or tcp6. Nil
	// is the system's resolver or, with a Dial of one's own, none: then Dial
	// gets the name.
	Resolve func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// Rand draws the jitter of attempts, from [0,1); nil is math/rand.
	Rand func() float64
	// Epoch is that of alive.Prober.Align: from it on the probes of all idle
	// connections keep one beat. Zero: each keeps its own.
	Epoch time.Time
	// Routed reports whether there is a way to an address, and HasAddress
	// whether it is this machine's. Nil: nobody knows.
	Routed, HasAddress func(ip netip.Addr) bool
	// Online reports whether the machine has any address that leads out of it;
	// nil: nobody knows.
	Online func() bool
	// Network names the network that the machine is in now, "" where that is not
	// known; nil is always so.
	Network func() string
	// Learned keeps what was learned; nil keeps nothing.
	Learned Learned
	// DialAgent connects to the socket of an agent; nil is a Unix socket. Tests
	// put a pipe here.
	DialAgent func(ctx context.Context, path string) (net.Conn, error)
	// Door is the destination for which a ControlPath is served, nil if it is not;
	// a nil Door never does. DoorDir is where -O prepare may have one served.
	Door    func(path string) control.Destination
	DoorDir string
	// DialDisplay connects to an X server, named as DISPLAY does; nil goes by the
	// name. Tests put a pipe here.
	DialDisplay func(ctx context.Context, display string) (net.Conn, error)
	// OnStop is called once when a client asked muxd to end, or when it has
	// drained.
	OnStop func()
	// OnDrain is called once when muxd begins to drain: nobody new is to find it.
	OnDrain func()
	// Notify runs a NotifyCommand, with these variables besides its own, until it
	// ends or ctx does; nil runs none.
	Notify func(ctx context.Context, line string, env []string) error
	// PrivateAgent is the agent for keys that only OpenSSH's programs read; nil
	// is none. Close ends it.
	PrivateAgent *sshauth.PrivateAgent
	// Clients returns the number of operations under way, for status.
	Clients func() int
}

// Master keeps the connections and opens sessions on them. It implements
// control.Backend. All its methods may be called from any goroutine.
type Master struct {
	cfg     Config
	started time.Time
	again   time.Duration // see reach.TCP
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup // one for each host.run
	slots   reach.Slots    // of connections that are not logged in yet
	keyring sshauth.Keyring
	events  hub
	gate    gate.Gate
	notify  notify.Runner

	drainOver chan struct{} // closed when muxd has drained, or ends before it has
	drained   bool          // which of the two; written before drainOver is closed

	networkName atomic.Pointer[named]
	networkAt   atomic.Pointer[time.Time] // when the network last changed or this machine woke, with its monotonic part; nil: never

	mu       sync.Mutex
	hosts    map[string]*host   // guarded by mu
	lineages map[string]lineage // guarded by mu; by dest.Destination.Words
	nextID   int                // guarded by mu; of links
	holds    map[*hold]struct{} // guarded by mu
}

var _ control.Backend = (*Master)(nil)

// New returns a Master that holds nothing yet.
func New(cfg Config) *Master {
	again := time.Duration(0) // a Dial of one's own is asked once
	if cfg.Dial == nil {
		again = dialAgain
		cfg.Dial = reach.Dial
		if cfg.Resolve == nil {
			cfg.Resolve = reach.Lookup
		}
	}
	if cfg.Learned == nil {
		cfg.Learned = nothing{}
	}
	if cfg.Network == nil {
		cfg.Network = func() string { return "" }
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Master{cfg: cfg, again: again, started: time.Now(), ctx: ctx, cancel: cancel, hosts: map[string]*host{}, lineages: map[string]lineage{}, holds: map[*hold]struct{}{},
		drainOver: make(chan struct{}), notify: notify.Runner{Run: cfg.Notify, Log: cfg.Log}}
}

// Close ends every connection and answers every request that waits. When it
// returns nobody decides anything any more; what still runs is on its way out.
func (m *Master) Close() {
	m.mu.Lock() // so that no host begins between the two
	m.cancel()
	m.mu.Unlock()
	m.wg.Wait()
	m.keyring.Forget()
	if m.cfg.PrivateAgent != nil {
		m.cfg.PrivateAgent.Close()
	}
}

// host returns the destination's host, and counts the caller as a user of it
// until unuse: a host in use is not forgotten.
func (m *Master) host(d *dest.Destination) (*host, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return nil, cmp.Or(m.gate.Leaves(), errStopping)
	}
	h := m.hosts[d.Key]
	if h == nil {
		h = newHost(m, d)
		m.hosts[d.Key] = h
		m.wg.Add(1) // for run
		go func() { defer m.wg.Done(); h.run() }()
	}
	h.users++
	return h, nil
}

func (m *Master) unuse(h *host) {
	m.mu.Lock()
	h.users--
	m.mu.Unlock()
}

// lookup returns the destination's host if there is one.
func (m *Master) lookup(d *dest.Destination) *host {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hosts[d.Key]
}

// forget is called by host.run. A request that has the host in hand keeps it:
// false.
func (m *Master) forget(h *host) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h.users > 0 {
		return false
	}
	delete(m.hosts, h.key)
	m.forgetLineage(h.key)
	h.cancel()
	return true
}

func (m *Master) linkID() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nextID++
	return m.nextID
}

// all returns the hosts of this moment.
func (m *Master) all() []*host {
	m.mu.Lock()
	defer m.mu.Unlock()
	hs := make([]*host, 0, len(m.hosts))
	for _, h := range m.hosts {
		hs = append(hs, h)
	}
	return hs
}

// Idle reports that there is no connection, that none is being made or waited
// for, and that no forward is wanted: a muxd that was started for a request may
// end then. Not while it is locked: the next one would not be.
func (m *Master) Idle() bool {
	if !m.gate.Locked().IsZero() {
		return false
	}
	return !slices.ContainsFunc(m.all(), func(h *host) bool {
		links, _ := h.counts()
		return links > 0 || h.forwards.Standing() > 0
	})
}

// Links returns how many connections there are, those that are being made
// included, and how many sessions and connections to forwards they carry, those that
// are on their way included.
func (m *Master) Links() (links, sessions int) {
	for _, h := range m.all() {
		l, s := h.counts()
		links += l
		sessions += s
	}
	return links, sessions
}

// counts is what Links counts, of one host.
func (h *host) counts() (links, sessions int) {
	st := h.status()
	links, sessions = len(st.Links), len(st.Sessions)+h.forwards.Open()
	if s := st.State; s == Connecting.String() || s == Waiting.String() {
		links++
	}
	return links, sessions
}

// Yield shuts the gate for good where nothing would be missed but connections that
// nobody uses, which the next muxd makes anew; false says that something would.
func (m *Master) Yield() bool {
	return m.gate.Locked().IsZero() && m.gate.EndIf(func() bool {
		_, sessions := m.Links()
		for _, h := range m.all() {
			sessions += h.forwards.Standing()
		}
		return sessions+m.coming() == 0
	})
}

// coming is how many requests wait for a connection.
func (m *Master) coming() (n int) {
	for _, h := range m.all() {
		h.mu.Lock()
		n += h.shown.coming
		h.mu.Unlock()
	}
	return n
}

// Stop implements control.Backend. Who comes as muxd ends with nothing to lose asks
// the next one, as whoever comes a moment later.
func (m *Master) Stop(ctx context.Context, r *control.StopRequest) (*control.Stopped, error) {
	if r.Drain {
		return m.drain(ctx, r)
	}
	st := &control.Stopped{PID: os.Getpid()}
	count := func() bool {
		st.Hosts, st.Sessions = m.Links()
		st.Sessions += m.coming()
		return st.Sessions == 0
	}
	if r.Force {
		count()
		st.Done = true
	} else if st.Done = m.gate.EndIf(count); !st.Done && count() {
		st.Sessions = 1 // it is being opened, or its output is not taken yet
	}
	if st.Done && m.cfg.OnStop != nil {
		m.cfg.OnStop()
	}
	return st, nil
}
