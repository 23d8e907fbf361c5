package sshmux

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"muxd/control"
	"muxd/socket"
)

// Doors are the ControlPaths that this muxd serves. The zero value of a field
// that is not set means nothing is done there; Backend and Log must be set. Its
// methods may be called from any goroutine.
type Doors struct {
	Backend control.Backend
	Log     control.Logger
	PID     int    // of muxd, for doors that no client stands for
	Dir     string // a private directory, for sockets of muxd's own

	ctx     context.Context // of all doors
	cancel  context.CancelFunc
	clients atomic.Int32
	running sync.WaitGroup // one for each client and each accept loop

	mu   sync.Mutex // guards following; taken before a door's
	open map[string]*door
	shut bool
}

// NewDoors returns Doors without any.
func NewDoors(b control.Backend, log control.Logger, pid int, dir string) *Doors {
	s := &Doors{Backend: b, Log: log, PID: pid, Dir: dir, open: map[string]*door{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Clients returns the number of connections being served.
func (s *Doors) Clients() int { return int(s.clients.Load()) }

// StopPath implements control.Doors.
func (s *Doors) StopPath(path string) {
	s.mu.Lock()
	d := s.open[path]
	s.mu.Unlock()
	if d != nil {
		d.stop()
	}
}

// At is the destination for which a path is served, nil if it is not.
func (s *Doors) At(path string) control.Destination {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.open[path]; d != nil {
		return d.dest
	}
	return nil
}

// errShut is told to who comes at the end of muxd.
var errShut = errors.New("muxd is ending")

// Open implements control.Doors. The same path for the same destination is one
// door; for another destination it is somebody else's, as it would be in ssh.
func (s *Doors) Open(ctx context.Context, r *control.ListenRequest, p control.Prompter) (control.Door, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return nil, errShut
	}
	if d := s.open[r.Path]; d != nil {
		if r.Shared && d.serves(r) {
			return d.claim(r, p), nil
		}
		return nil, &control.TakenError{Path: r.Path, PID: d.pid()}
	}
	if filepath.Dir(r.Path) == s.Dir {
		if err := s.makeDir(); err != nil {
			return nil, err
		}
	}
	l, err := socket.ListenAt(r.Path)
	var running *socket.RunningError
	if errors.As(err, &running) {
		return nil, &control.TakenError{Path: r.Path, PID: running.PID}
	}
	if err != nil {
		return nil, err
	}
	l.OnReject = func(err error) { s.Log.Warn("connection rejected", "err", err) }
	d := newDoor(s, r, l)
	s.open[r.Path] = d
	c := d.claim(r, p)
	s.running.Go(func() { d.accept() })
	s.Log.Info("serving a ControlPath", "path", r.Path, "host", r.Dest.String(), "pid", r.PID)
	return c, nil
}

// remove ends a door's listening, if the door says so, and forgets it. Open sees
// all of that or nothing: neither a door that is about to end, nor a path that
// is nobody's any more and still listened at.
func (s *Doors) remove(d *door, when func() bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !when() {
		return false
	}
	if s.open[d.path] == d {
		delete(s.open, d.path)
	}
	d.listener.Close()
	d.stopped = true
	d.settle()
	return true
}

// watch has a door that stays end with its connection. At muxd's end it is too
// late for that: Close waits for what runs.
func (s *Doors) watch(d *door) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shut {
		s.running.Go(d.outlast)
	}
}

// all is every door now.
func (s *Doors) all() []*door {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*door, 0, len(s.open))
	for _, d := range s.open {
		all = append(all, d)
	}
	return all
}

// Resized has every session look whether its terminal has another size: stock
// ssh sends SIGWINCH to the process that it takes for the master.
func (s *Doors) Resized() {
	for _, d := range s.all() {
		d.resized()
	}
}

// Check looks after the doors' sockets; the daemon calls it once a minute. One
// that is no longer ours is given up.
func (s *Doors) Check() {
	for _, d := range s.all() {
		switch err := d.listener.Check(); {
		case errors.Is(err, socket.ErrTakenOver):
			s.Log.Warn("a ControlPath is another's now", "path", d.path)
			d.stop()
		case err != nil && !errors.Is(err, os.ErrClosed):
			s.Log.Warn("ControlPath", "path", d.path, "err", err)
		}
	}
}

// Stop ends the listening of every door, and lets no new one be made.
func (s *Doors) Stop() {
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
	for _, d := range s.all() {
		d.stop()
	}
}

// parting bounds the wait at the end of muxd for clients to be told what became
// of what they had; who has nothing is cut then.
const parting = time.Second

// Close ends every door, and returns when its clients have gone.
func (s *Doors) Close() {
	s.Stop()
	defer time.AfterFunc(parting, s.cancel).Stop()
	s.running.Wait()
	s.cancel()
}

// ending reports that muxd is.
func (s *Doors) ending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shut
}

// makeDir makes the directory of muxd's own.
func (s *Doors) makeDir() error {
	if err := os.Mkdir(s.Dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}
