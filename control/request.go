package control

import "time"

// op is what a request asks for.
type op uint8

const (
	opRun    op = 1 // carry out an Invocation: ssh's command line
	opStatus op = 2
	opStop   op = 3
	opAdmin  op = 4
	opEvents op = 5
)

// Invocation is one run of muxc as the person typed it: everything muxd needs
// to find out what ssh would do. muxc itself understands none of it.
type Invocation struct {
	Args  []string // the command line without the program's name
	Dir   string   // working directory
	Env   []string // NAME=value
	TTY   [3]bool  // whether stdin, stdout, stderr are terminals
	Size  Window   // of the terminal, zero without one
	Modes []byte   // of stdin's terminal as in RFC 4254 section 8, nil without one
	PID   int      // of the client; filled in by the server from the socket
	// Reattach says that the session was lost and the command of the Reattach
	// keyword is to run in its place.
	Reattach bool
}

// Getenv returns the value of a variable of the client's environment, the
// first one if it stands there twice, or "".
func (v *Invocation) Getenv(name string) string {
	for _, kv := range v.Env {
		if len(kv) > len(name) && kv[len(name)] == '=' && kv[:len(name)] == name {
			return kv[len(name)+1:]
		}
	}
	return ""
}

// Window is a terminal's size, in characters and in pixels (0 if unknown).
type Window struct{ Cols, Rows, Width, Height uint32 }

// NoEscape is the Plan.Escape of a session without an escape character.
const NoEscape = -1

// Plan is what an Invocation turned out to mean. The first group travels to
// the client with the first frame that follows it; the second stays in muxd,
// where of what is to be done exactly one is set.
type Plan struct {
	Host      string // the destination as typed, for the client's messages
	TTY       bool   // a terminal was asked for: raw mode once the session is open
	Escape    int    // the escape character, or NoEscape
	StdinNull bool   // do not read standard input (-n)
	Quiet     bool   // LogLevel QUIET or FATAL: no lines of our own
	// Background has the client go to the background once the session is open
	// (-f; ssh.c, fork_postauth).
	Background bool
	// JSON has errors be told as objects (ErrorFormat json).
	JSON bool
	// Reattach says that a session on a terminal whose connection is lost is to
	// be followed by another one, of an Invocation that says so.
	Reattach bool
	// FdPass says that the stdio forward's end of a socket pair is for whoever
	// started the client, which passes it on over its standard output and ends
	// (ssh -o ProxyUseFdpass).
	FdPass bool
	// Serves says that the client stands for a socket that others use (-M): it
	// tells of each change of a terminal's size, and which process it is.
	Serves bool
	// Mute says that nothing comes on standard output: there is no session (-N).
	Mute bool
	// HandOver, where there is one, is the command line with which the client
	// becomes ssh itself, without the program's name: the destination is in the
	// hands of a master that is not muxd (-S). Nothing follows then.
	HandOver []string

	Dest Destination // also where nothing is opened
	// Listen is the ControlPath that is served while the rest is done, or for
	// longer. Alone it is all there is to do.
	Listen *ListenRequest
	// Forward are the forwards that come before what is opened, and that are
	// wanted until it ends.
	Forward *ForwardRequest
	// Detach says that there is nothing to be opened beside the forwards: they
	// are sticky, and the client goes (-f -N).
	Detach  bool
	Session *SessionRequest
	Direct  *DirectRequest
	Hold    *HoldRequest
	Manage  *ManageRequest
	Text    []byte // what the client prints (-G, -Q), and that is all
	Code    int    // its exit status then
}

// meter is what counts the bytes of what the plan opens.
func (p *Plan) meter() *Meter {
	switch {
	case p.Session != nil && p.Session.Bytes != nil:
		return p.Session.Bytes
	case p.Direct != nil && p.Direct.Bytes != nil:
		return p.Direct.Bytes
	}
	return new(Meter)
}

// Destination is a resolved host. Only the Backend that made it looks inside.
type Destination interface {
	String() string
	// For is the same destination for a request that another client makes now,
	// with the socket of that client's agent, "" for none.
	For(agent string) Destination
	// Same reports whether the other one is reached by the same connection: as
	// the same user, by the same way, with the same keys.
	Same(other Destination) bool
}

// SessionKind is the request that starts a session (RFC 4254 section 6.5).
type SessionKind string

// The kinds of session.
const (
	Shell     SessionKind = "shell"
	Exec      SessionKind = "exec"
	Subsystem SessionKind = "subsystem"
)

// TTY is a pseudo-terminal to ask for (RFC 4254 section 6.2).
type TTY struct {
	Term  string
	Size  Window
	Modes []byte // encoded as in section 8; nil asks for the server's defaults
}

// SessionRequest asks for a session channel.
type SessionRequest struct {
	Dest    Destination
	Kind    SessionKind
	Command string   // of an exec, or the subsystem's name
	TTY     *TTY     // nil: none
	Env     []string // NAME=value, in the order they are sent
	PID     int      // of the client, for status and the log
	Bytes   *Meter   // counts of the session, shared with status; may be nil
	// Agent is the socket of the agent that this session forwards, "" for none
	// (-A).
	Agent string
	X11   *X11Request // nil: none
}

// X11Request is the display that a session forwards (-X, -Y).
type X11Request struct {
	Display string        // the client's DISPLAY
	Trusted bool          // -Y: the programs there may do everything that those here may
	Timeout time.Duration // ForwardX11Timeout: how long an untrusted session may open displays; 0 is without end
	XAuth   string        // the program that knows the display's cookie
}

// DirectRequest asks for a connection from the server's side to somewhere else,
// over the client's stdin and stdout: ssh -W.
type DirectRequest struct {
	Dest  Destination
	Host  string // with Port: a TCP connection (RFC 4254 section 7.2)
	Port  int
	Path  string // a Unix socket instead (PROTOCOL, direct-streamlocal@openssh.com)
	PID   int    // of the client
	Bytes *Meter // may be nil
}

// HoldRequest asks for the connection alone, for as long as the client stays:
// ssh -N.
type HoldRequest struct {
	Dest Destination
	PID  int // of the client
	// Serves says that others come by a ControlPath of the client's. Each of them is
	// told itself what only a person can mend, and so the hold goes on.
	Serves bool
}

// ManageRequest asks something about a destination's connection: check, exit,
// stop, forward or cancel, as ssh -O does.
type ManageRequest struct {
	Dest    Destination
	Command string
	Path    string          // the ControlPath that was named, "" for none
	Forward *ForwardRequest // of forward and cancel: which
}

// AdminRequest asks something about one destination, or all of them, as muxd's
// own commands do.
type AdminRequest struct {
	Command string        // reconnect, recycle, exit (of one that is shown), wait, doctor, lock, unlock (of all)
	Shown   string        // the HostStatus.ID of the destination that is meant, whatever Dest says; "" for none
	Dest    Destination   // nil: all
	Forget  bool          // reconnect: what was learned of the destination is forgotten too
	Down    bool          // wait: until there is no connection, and not until there is one
	Limit   time.Duration // wait: the longest; 0 is none
}

// EventsRequest asks to be told of events.
type EventsRequest struct {
	Dest  Destination   // nil: of all
	Since time.Duration // those of that long ago until now come first; 0: none of them
	Only  bool          // and no others
}

// Event is a change of state, of a destination or of one of its connections.
type Event struct {
	Time    time.Time
	Kind    EventKind
	Host    string // as typed; "" where it is about none
	User    string
	Addr    string // host:port
	Link    int    // number of the connection, of an EventLink
	From    string // "" where this is the first that is told
	To      string
	Attempt int           // of an EventDial
	Silence time.Duration // since the last byte, where a connection went silent or ended
	Text    string        // the cause
}

// EventKind says what an Event is about.
type EventKind string

// The kinds of event.
const (
	EventHost    EventKind = "host"    // the destination's state
	EventLink    EventKind = "link"    // a connection's state
	EventDial    EventKind = "dial"    // an attempt failed
	EventNetwork EventKind = "network" // the machine's network changed
	EventWake    EventKind = "wake"    // the machine or muxd was asleep
	EventForward EventKind = "forward" // a forward's state: Text is the forward as an option
	EventMuxd    EventKind = "muxd"    // muxd's own state: locked, unlocked or draining
	EventLost    EventKind = "lost"    // so many events were not told: To is the number
)

// Managed is the answer to a ManageRequest or an AdminRequest: text for stderr and an exit status.
type Managed struct {
	Text string
	Out  []byte // for stdout: the port that the server chose for a forward (-O forward -R 0)
	Code int
}

// StatusRequest asks for a Status.
type StatusRequest struct {
	// Probe has the far side of every forward opened once; that may take as long
	// as a connection there does.
	Probe bool
}

// StopRequest ends muxd. Without Force or Drain a muxd that carries sessions, or has
// some wait for a connection, only says what it would end.
type StopRequest struct {
	Force bool
	// Drain has it take on nothing new and end with its last session, with which
	// the answer comes. It goes on with that when the client leaves.
	Drain bool
	// Waits is told what is waited for, when that changes; it must not block. Nil:
	// nobody wants to know.
	Waits func(Waiting)
}

// Stopped says what a stop ended, or would end.
type Stopped struct {
	Done     bool // false: nothing was done, because sessions run or wait and Force is not set
	PID      int
	Hosts    int // connections
	Sessions int
}

// Exit is how a remote command ended (RFC 4254 section 6.10).
type Exit struct {
	Code    uint32 // of an exit-status
	Signal  string // of an exit-signal, without SIG; then Code is not set
	Core    bool   // the signal dumped core
	Message string // what the server said about the signal
}

// ErrorPhase is how far a request had come when it failed: what a caller must
// know to decide whether it may be repeated. See PROTOCOL.md, "Phases".
type ErrorPhase uint8

// The phases, in the order of a request's life.
const (
	// NotDialled: no connection was attempted. Nothing ran.
	NotDialled ErrorPhase = 1
	// Refused: the network, the server or the login said no. Nothing ran.
	Refused ErrorPhase = 2
	// Lost: the connection died before the command was handed over. Nothing ran.
	Lost ErrorPhase = 3
	// Sent: the command was handed over and nothing came back. It may have run.
	Sent ErrorPhase = 4
	// Running: the command ran, and how it ended is unknown. It may still run.
	Running ErrorPhase = 5
)

func (p ErrorPhase) String() string {
	switch p {
	case NotDialled:
		return "not dialled"
	case Refused:
		return "refused"
	case Lost:
		return "lost"
	case Sent:
		return "sent"
	case Running:
		return "running"
	}
	return "unknown"
}

// MayHaveRun reports whether a command that failed in phase p may have had an
// effect on the other side.
func (p ErrorPhase) MayHaveRun() bool { return p == Sent || p == Running }

// Error is a failed operation: one line, and the phase it failed in.
type Error struct {
	Phase ErrorPhase
	Host  string // the destination as typed; "" when it is not about one
	Text  string // cause and cure, without the host
	// Silence is the time since the last byte when a connection was lost, else 0.
	Silence time.Duration
	// Ended says that somebody had the connection closed (ssh -O exit): what was
	// lost with it is not to be brought back.
	Ended bool
	// Elsewhere says that nothing was begun because this muxd is about to end:
	// another one takes the request, and so the error matches ErrNotTaken.
	Elsewhere bool
}

// Is reports an error that says as much as ErrNotTaken.
func (e *Error) Is(target error) bool { return e.Elsewhere && target == ErrNotTaken }

// Error returns the line a person reads.
func (e *Error) Error() string {
	if e.Host == "" {
		return e.Text
	}
	return e.Host + ": " + e.Text
}

func (v *Invocation) encode() []byte {
	e := encoder{b: make([]byte, 0, v.room())}
	e.u8(uint8(opRun))
	v.append(&e)
	return e.b
}

// room is at least what encode takes, in one piece: a process that has just begun
// pays for each page that it touches, and a buffer that grows touches several.
func (v *Invocation) room() int {
	n := 64 + len(v.Dir) + len(v.Modes)
	for _, list := range [][]string{v.Args, v.Env} {
		for _, s := range list {
			n += 4 + len(s)
		}
	}
	return n
}

// append adds the invocation, which is the last thing of a request.
func (v *Invocation) append(e *encoder) {
	e.strs(v.Args)
	e.str(v.Dir)
	e.strs(v.Env)
	for _, t := range v.TTY {
		e.bool(t)
	}
	e.window(v.Size)
	e.bytes(v.Modes)
	e.bool(v.Reattach)
}

func (v *Invocation) decode(d *decoder) error {
	v.Args = d.strs()
	v.Dir = d.str()
	v.Env = d.strs()
	for i := range v.TTY {
		v.TTY[i] = d.bool()
	}
	v.Size = d.window()
	v.Modes = d.bytes()
	v.Reattach = d.bool()
	return d.done()
}

func (e *encoder) window(w Window) {
	e.u32(w.Cols)
	e.u32(w.Rows)
	e.u32(w.Width)
	e.u32(w.Height)
}

func (d *decoder) window() Window { return Window{d.u32(), d.u32(), d.u32(), d.u32()} }

func (p *Plan) encode() []byte {
	e := encoder{}
	e.str(CleanLine(p.Host))
	e.bool(p.TTY)
	e.u32(uint32(int32(p.Escape)))
	e.bool(p.StdinNull)
	e.bool(p.Quiet)
	e.bool(p.Background)
	e.bool(p.JSON)
	e.bool(p.Reattach)
	e.bool(p.FdPass)
	e.bool(p.Serves)
	e.bool(p.Mute)
	e.strs(p.HandOver)
	return e.b
}

func (p *Plan) decode(b []byte) error {
	d := decoder{b: b}
	p.Host = d.str()
	p.TTY = d.bool()
	p.Escape = int(int32(d.u32()))
	p.StdinNull = d.bool()
	p.Quiet = d.bool()
	p.Background = d.bool()
	p.JSON = d.bool()
	p.Reattach = d.bool()
	p.FdPass = d.bool()
	p.Serves = d.bool()
	p.Mute = d.bool()
	p.HandOver = d.strs()
	return d.done()
}

func (x Exit) encode() []byte {
	e := encoder{}
	e.u32(x.Code)
	e.str(CleanLine(x.Signal))
	e.bool(x.Core)
	e.str(CleanLine(x.Message))
	return e.b
}

func decodeExit(b []byte) (x Exit, err error) {
	d := decoder{b: b}
	x = Exit{Code: d.u32(), Signal: d.str(), Core: d.bool(), Message: d.str()}
	return x, d.done()
}

func (x *Error) encode() []byte {
	e := encoder{}
	e.u8(uint8(x.Phase))
	e.str(CleanLine(x.Host))
	e.str(CleanLine(x.Text))
	e.ms(x.Silence)
	e.bool(x.Ended)
	return e.b
}

func decodeError(b []byte) (*Error, error) {
	d := decoder{b: b}
	x := &Error{Phase: ErrorPhase(d.u8()), Host: d.str(), Text: d.str(), Silence: d.ms(), Ended: d.bool()}
	return x, d.done()
}

func (s *Stopped) encode() []byte {
	e := encoder{}
	e.bool(s.Done)
	e.u32(uint32(s.PID))
	e.u32(uint32(s.Hosts))
	e.u32(uint32(s.Sessions))
	return e.b
}

func (s *Stopped) decode(b []byte) error {
	d := decoder{b: b}
	*s = Stopped{Done: d.bool(), PID: int(d.u32()), Hosts: int(d.u32()), Sessions: int(d.u32())}
	return d.done()
}

// PromptTimeout bounds how long a person may think about a prompt. After it
// the login fails, so that a terminal left alone holds up nobody for longer.
const PromptTimeout = 2 * time.Minute
