package control

import "time"

// Status is what muxd knows of itself and its connections at one moment.
type Status struct {
	PID     int
	Build   string
	Started time.Time
	Socket  string
	Clients int       // operations under way, this one included
	Locked  time.Time // since when nothing new is let through; zero: it is
	Drains  bool      // it takes on nothing new, and ends with its last session
	Hosts   []HostStatus
}

// HostStatus is one destination.
type HostStatus struct {
	ID      string // tells destinations apart that have the same name; says nothing else
	Name    string // as typed by whoever asked first
	User    string
	Addr    string // host:port as resolved by the configuration
	State   string // idle, connecting, ready, suspect, waiting, blocked, closed
	Since   time.Time
	Waiting int    // requests waiting for the connection
	Logins  int    // logins since muxd started
	Failed  int    // attempts to connect that failed since then
	Lost    int    // connections that ended since then without anybody's wish
	Again   int    // logins that brought the connection back after one was lost or went silent
	In, Out int64  // bytes on the wire of all connections since then
	Persist string // how long an idle connection is kept: a duration, "forever" or "no"
	LastErr string
	Attempt int       // of the connection that is being made, the one under way or the last one; 0 for none
	Next    time.Time // of the next attempt; zero where none is scheduled
	Wanted  string    // why the connection is kept or made, as docs/status-json.md lists; "" where nobody wants it
	// KeepWarm is the silence after which an idle connection is used, 0 = never;
	// KeepWarmLearned says that the path taught it and nobody set it.
	KeepWarm        time.Duration
	KeepWarmLearned bool
	Limit           int // sessions that the server was seen to take on one connection; 0 while it refused none
	Links           []LinkStatus
	Sessions        []SessionStatus
	Forwards        []ForwardStatus // in the order in which they were asked for
}

// LinkStatus is one SSH connection.
type LinkStatus struct {
	State    string // ready, suspect, draining, dead
	Since    time.Time
	Remote   string // address that answered
	Auth     string // how the login went: method and key
	Server   string // the server's version string
	LastByte time.Time
	RTT      time.Duration // of the last answered probe, 0 if none yet
	In, Out  int64         // bytes on the wire
	Sessions int
	Use      string        // what new work it gets: main, further or bulk; "" for one that gets none
	Interval time.Duration // between probes of a silent connection, 0 = none
	CountMax int
}

// What new work a connection gets (LinkStatus.Use).
const (
	UseMain    = "main"    // whatever comes, and the forwards
	UseFurther = "further" // what the main one has no place for, or would disturb
	UseBulk    = "bulk"    // transfers
)

// SessionStatus is one session.
type SessionStatus struct {
	PID     int    // of the client
	Kind    string // shell, exec, subsystem, direct (-W)
	TTY     bool
	Since   time.Time
	In, Out int64
	Command string // what runs there or is connected to, cut short; "" for a shell
}

// maxCommand bounds the command of a session in Status, in bytes: a table shows
// less, and 4096 sessions of whole commands would be no answer.
const maxCommand = 256

// cleanCommand is the beginning of a command on one line.
func cleanCommand(s string) string {
	if len(s) > maxCommand {
		s = s[:boundary(s, maxCommand-len(ellipsis))] + ellipsis
	}
	return CleanLine(s)
}

// The shortest encodings of a list's elements, in bytes, all texts empty: what
// a count is held against before memory is taken for it.
const (
	minHost    = 113
	minLink    = 76
	minSession = 37
	minForward = 94
	minOwner   = 4
)

func (s *Status) encode() []byte {
	e := encoder{}
	e.u32(uint32(s.PID))
	e.str(s.Build)
	e.when(s.Started)
	e.str(s.Socket)
	e.u32(uint32(s.Clients))
	e.when(s.Locked)
	e.bool(s.Drains)
	e.u32(uint32(len(s.Hosts)))
	for i := range s.Hosts {
		s.Hosts[i].encode(&e)
	}
	return e.b
}

func (s *Status) decode(b []byte) error {
	d := decoder{b: b}
	s.PID = int(d.u32())
	s.Build = d.str()
	s.Started = d.when()
	s.Socket = d.str()
	s.Clients = int(d.u32())
	s.Locked, s.Drains = d.when(), d.bool()
	s.Hosts = make([]HostStatus, d.count(minHost))
	for i := range s.Hosts {
		s.Hosts[i].decode(&d)
	}
	return d.done()
}

func (h *HostStatus) encode(e *encoder) {
	for _, v := range []string{h.ID, h.Name, h.User, h.Addr, h.State} {
		e.str(CleanLine(v))
	}
	e.when(h.Since)
	e.u32(uint32(h.Waiting))
	e.u32(uint32(h.Logins))
	e.u32(uint32(h.Failed))
	e.u32(uint32(h.Lost))
	e.u32(uint32(h.Again))
	e.u64(uint64(h.In))
	e.u64(uint64(h.Out))
	e.str(h.Persist)
	e.str(CleanLine(h.LastErr))
	e.u32(uint32(h.Attempt))
	e.when(h.Next)
	e.str(CleanLine(h.Wanted))
	e.dur(h.KeepWarm)
	e.bool(h.KeepWarmLearned)
	e.u32(uint32(h.Limit))
	e.u32(uint32(len(h.Links)))
	for i := range h.Links {
		h.Links[i].encode(e)
	}
	e.u32(uint32(len(h.Sessions)))
	for i := range h.Sessions {
		h.Sessions[i].encode(e)
	}
	e.u32(uint32(len(h.Forwards)))
	for i := range h.Forwards {
		h.Forwards[i].encode(e)
	}
}

func (h *HostStatus) decode(d *decoder) {
	h.ID, h.Name, h.User, h.Addr, h.State = d.str(), d.str(), d.str(), d.str(), d.str()
	h.Since = d.when()
	h.Waiting = int(d.u32())
	h.Logins = int(d.u32())
	h.Failed = int(d.u32())
	h.Lost = int(d.u32())
	h.Again = int(d.u32())
	h.In, h.Out = int64(d.u64()), int64(d.u64())
	h.Persist = d.str()
	h.LastErr = d.str()
	h.Attempt = int(d.u32())
	h.Next = d.when()
	h.Wanted = d.str()
	h.KeepWarm = d.dur()
	h.KeepWarmLearned = d.bool()
	h.Limit = int(d.u32())
	h.Links = make([]LinkStatus, d.count(minLink))
	for i := range h.Links {
		h.Links[i].decode(d)
	}
	h.Sessions = make([]SessionStatus, d.count(minSession))
	for i := range h.Sessions {
		h.Sessions[i].decode(d)
	}
	h.Forwards = make([]ForwardStatus, d.count(minForward))
	for i := range h.Forwards {
		h.Forwards[i].decode(d)
	}
}

func (l *LinkStatus) encode(e *encoder) {
	e.str(l.State)
	e.when(l.Since)
	for _, v := range []string{l.Remote, l.Auth, l.Server} {
		e.str(CleanLine(v))
	}
	e.when(l.LastByte)
	e.dur(l.RTT)
	e.u64(uint64(l.In))
	e.u64(uint64(l.Out))
	e.u32(uint32(l.Sessions))
	e.str(l.Use)
	e.dur(l.Interval)
	e.u32(uint32(l.CountMax))
}

func (l *LinkStatus) decode(d *decoder) {
	l.State = d.str()
	l.Since = d.when()
	l.Remote, l.Auth, l.Server = d.str(), d.str(), d.str()
	l.LastByte = d.when()
	l.RTT = d.dur()
	l.In, l.Out = int64(d.u64()), int64(d.u64())
	l.Sessions = int(d.u32())
	l.Use = d.str()
	l.Interval = d.dur()
	l.CountMax = int(d.u32())
}

func (s *SessionStatus) encode(e *encoder) {
	e.u32(uint32(s.PID))
	e.str(s.Kind)
	e.bool(s.TTY)
	e.when(s.Since)
	e.u64(uint64(s.In))
	e.u64(uint64(s.Out))
	e.str(cleanCommand(s.Command))
}

func (s *SessionStatus) decode(d *decoder) {
	s.PID = int(d.u32())
	s.Kind = d.str()
	s.TTY = d.bool()
	s.Since = d.when()
	s.In, s.Out = int64(d.u64()), int64(d.u64())
	s.Command = d.str()
}

func (f *ForwardStatus) encode(e *encoder) {
	e.str(string(f.Kind))
	f.Listen.encode(e)
	f.Connect.encode(e)
	e.str(f.State)
	e.when(f.Since)
	e.bool(f.Sticky)
	e.u32(uint32(len(f.Owners)))
	for _, pid := range f.Owners {
		e.u32(uint32(pid))
	}
	e.u32(uint32(f.Waiting))
	e.u32(uint32(f.Open))
	e.u64(uint64(f.Total))
	e.u64(uint64(f.In))
	e.u64(uint64(f.Out))
	e.str(CleanLine(f.LastErr))
	e.when(f.Next)
	e.bool(f.Probed)
	e.str(CleanLine(f.Probe))
}

func (f *ForwardStatus) decode(d *decoder) {
	f.Kind = ForwardKind(d.str())
	f.Listen.decode(d)
	f.Connect.decode(d)
	f.State = d.str()
	f.Since = d.when()
	f.Sticky = d.bool()
	f.Owners = make([]int, d.count(minOwner))
	for i := range f.Owners {
		f.Owners[i] = int(d.u32())
	}
	f.Waiting = int(d.u32())
	f.Open = int(d.u32())
	f.Total = int64(d.u64())
	f.In, f.Out = int64(d.u64()), int64(d.u64())
	f.LastErr = d.str()
	f.Next = d.when()
	f.Probed = d.bool()
	f.Probe = d.str()
}

func (p *Endpoint) encode(e *encoder) {
	e.str(CleanLine(p.Host))
	e.u32(uint32(p.Port))
	e.str(CleanLine(p.Path))
}

func (p *Endpoint) decode(d *decoder) {
	p.Host = d.str()
	p.Port = int(d.u32())
	p.Path = d.str()
}
