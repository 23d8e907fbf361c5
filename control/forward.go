package control

import (
	"strconv"
	"strings"
	"time"
)

// ForwardKind says at which end a forward listens, and who says where it leads.
type ForwardKind string

// The kinds of forward.
const (
	ForwardLocal         ForwardKind = "local"          // ssh -L
	ForwardRemote        ForwardKind = "remote"         // ssh -R
	ForwardDynamic       ForwardKind = "dynamic"        // ssh -D: SOCKS here
	ForwardRemoteDynamic ForwardKind = "remote-dynamic" // ssh -R without a target: SOCKS on the server's side
)

// Remote reports a forward for which the server listens.
func (k ForwardKind) Remote() bool { return k == ForwardRemote || k == ForwardRemoteDynamic }

// Dynamic reports a forward of which each connection says by SOCKS where it
// goes.
func (k ForwardKind) Dynamic() bool { return k == ForwardDynamic || k == ForwardRemoteDynamic }

// Endpoint is one end of a forward: the path of a Unix socket, or host and port.
type Endpoint struct {
	// Host is a name or an address. Where a forward listens, "localhost" is every
	// loopback address and "*" every address of the machine; what was not said is
	// settled by GatewayPorts before.
	Host string
	Port int    // 0 only where a server listens: it chooses
	Path string // absolute on this machine's side
}

// String is the endpoint as ssh writes it: a path, host:port, or [host]:port
// where the host is an IPv6 address.
func (e Endpoint) String() string {
	if e.Path != "" {
		return e.Path
	}
	host := e.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(e.Port)
}

// Forward is a forwarding. Two are the same if all of it is equal, as in mux.c,
// compare_forward.
type Forward struct {
	Kind    ForwardKind
	Listen  Endpoint
	Connect Endpoint // zero where the kind is dynamic
}

// String is the forward as ssh's option for it.
func (f Forward) String() string {
	option := map[ForwardKind]string{ForwardLocal: "-L ", ForwardRemote: "-R ", ForwardDynamic: "-D ", ForwardRemoteDynamic: "-R "}[f.Kind]
	if f.Kind.Dynamic() {
		return option + f.Listen.String()
	}
	return option + f.Listen.String() + ":" + f.Connect.String()
}

// ForwardOptions is how a forward listens and what it lets through.
type ForwardOptions struct {
	Network string   // of a local TCP listener and of what a remote forward connects to: tcp, tcp4 or tcp6
	Mask    uint32   // StreamLocalBindMask: permissions that a Unix socket does not get
	Unlink  bool     // StreamLocalBindUnlink: what stands at a Unix socket's path is removed before
	Permit  []string // PermitRemoteOpen, of a remote dynamic forward; empty: anything
}

// ForwardRequest asks for forwards, in that order.
type ForwardRequest struct {
	Dest     Destination
	Forwards []Forward
	Options  ForwardOptions
	Sticky   bool // they stay when the client goes
	// Strict has the first one that cannot be had at once end the request, with
	// those before it taken back where no one else has them
	// (ExitOnForwardFailure). Without it the client is told by a notice, and the
	// forward is tried again for as long as it is wanted.
	Strict bool
	// Told has the client hear, by notices, what becomes of its forwards later:
	// it does nothing else that its lines could disturb (-N).
	Told bool
	PID  int // of the client
	// Allocated, if set, is told of a port that a server chose for a forward, in
	// place of a notice; before Forward returns.
	Allocated func(f Forward, port int)
}

// The states of a forward.
const (
	ForwardActive   = "active"   // something listens, and the connection is up or will be made
	ForwardOpening  = "opening"  // the server was asked and has not answered
	ForwardWaiting  = "waiting"  // for a connection on which the server can be asked
	ForwardDegraded = "degraded" // the address is taken or refused; it is tried again
)

// ForwardStatus is one forward at one moment.
type ForwardStatus struct {
	Forward
	State   string    // active, opening, waiting, degraded
	Since   time.Time // of the state
	Sticky  bool      // it stands without a client
	Owners  []int     // process ids of the clients that want it
	Waiting int       // connections that came and do not go through yet
	Open    int       // connections through it now
	Total   int64     // connections through it so far
	In, Out int64     // bytes to the client's side, and to the server's
	LastErr string    // of the last attempt to listen or to connect; "" while none failed
	Next    time.Time // of the next attempt to listen; zero where none is due
	// Probed says that the far side was opened for this status, and Probe how that
	// failed, "" where it did not.
	Probed bool
	Probe  string
}
