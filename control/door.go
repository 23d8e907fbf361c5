package control

import "context"

// ListenRequest asks for a socket that speaks OpenSSH's multiplexing protocol
// for one destination: a ControlPath.
type ListenRequest struct {
	Dest Destination
	Path string // absolute
	// Confirm has the client that asked be asked about each session, forward or
	// end that others ask for (ControlMaster ask, -MM).
	Confirm bool
	// Shared says that a socket which is there already is as good (ControlMaster
	// auto).
	Shared bool
	// Stay has the socket kept once the connection is there (ControlPersist).
	Stay bool
	PID  int      // of the client, which stands for the socket where it does not stay
	Dir  string   // the client's working directory
	Env  []string // of the client: what holds for sessions whose own client cannot be looked at
	// Forwards are how the forwards that clients of the socket ask for listen.
	Forwards ForwardOptions
	// Gateway has a local forward without an address listen on all of them
	// (GatewayPorts).
	Gateway bool
	// X11 is how sessions forward displays; which one each client says.
	X11 X11Request
}

// Doors are the sockets of the second door; sshmux.Doors is the real one.
type Doors interface {
	// Open has the path served when it returns. P, who asked, is asked where the
	// request says Confirm, for as long as it holds the door. The error names
	// the path; where another program serves it, it is a *TakenError.
	Open(ctx context.Context, r *ListenRequest, p Prompter) (Door, error)
	// StopPath ends the listening at a path (ssh -O stop); nothing where it is not
	// served here.
	StopPath(path string)
}

// Door is one request's claim to a served path. Its methods may be called from
// any goroutine.
type Door interface {
	// Resized says that the client's terminals may have other sizes: stock ssh
	// signals that to whoever the master seems to be.
	Resized()
	// Opened says that what the client itself wants is open: from then on it can
	// be asked about others. It is called once.
	Opened()
	// Moved says that another process stands for the socket now.
	Moved(pid int)
	// Keep has the socket stay when the claim ends, until the destination's
	// connection is given up.
	Keep()
	// Done is closed when the path is served no more and its last client went.
	Done() <-chan struct{}
	// Ended reports that the path is served no more because somebody asked for
	// that, and not because muxd is ending.
	Ended() bool
	// Drain stops listening, if the claim is the last one, and returns when the
	// last client went or ctx ends.
	Drain(ctx context.Context)
	// Close ends the claim, and if it is the last one the path and its clients.
	Close()
}

// TakenError says that another program serves a path.
type TakenError struct {
	Path string
	PID  int // 0 when unknown
}

// Error is ssh's line, which people know.
func (e *TakenError) Error() string {
	return "ControlSocket " + e.Path + " already exists, disabling multiplexing"
}
