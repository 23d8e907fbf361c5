// Package gate says whether anything new may begin in this muxd: not while it is
// locked, nor once it drains before its end. What runs is not its business.
//
// It refuses to be a guard against programs of the same user: they can unlock it,
// as they can read the user's keys. It keeps a machine that somebody left from
// being of use to whoever sits down at it next, and a script from beginning what
// would be cut.
package gate

import (
	"errors"
	"sync"
	"time"
)

// What the gate refuses by. The texts follow a host's name.
var (
	ErrLocked = errors.New("muxd is locked (muxd unlock opens it again; what runs goes on)")
	ErrEnds   = errors.New("muxd is stopping")
	ErrDrains = errors.New("this muxd takes on nothing new, because it was told to drain (muxd stop --drain); give the command again once it has ended")
)

// Gate is open in its zero value. Its methods may be called from any goroutine.
type Gate struct {
	ending sync.RWMutex // held while EndIf decides; before mu

	mu      sync.Mutex
	locked  time.Time // guarded by mu; zero: it is not
	drains  bool      // guarded by mu
	ends    bool      // guarded by mu
	opening int       // guarded by mu; entered and not left
}

// Lock shuts the gate for everything new; false says that it was shut already.
func (g *Gate) Lock(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.locked.IsZero() {
		return false
	}
	g.locked = now
	return true
}

// Unlock opens it again; false says that it was not locked.
func (g *Gate) Unlock() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := !g.locked.IsZero()
	g.locked = time.Time{}
	return was
}

// Drain shuts the gate for new requests, for good; false says that it was.
func (g *Gate) Drain() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := !g.drains
	g.drains = true
	return first
}

// EndIf shuts the gate for good, for a muxd that ends at once, where nobody is inside
// and nothing else holds it, which idle says. Who would enter meanwhile waits for the
// outcome, and is not missed by either; idle must not wait for one of those.
func (g *Gate) EndIf(idle func() bool) bool {
	g.ending.Lock()
	defer g.ending.Unlock()
	if !g.Empty() || !idle() {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ends = true
	return true
}

// Leaves is the refusal of what another muxd takes as well, nil where it may wait
// here: this muxd drains, or ends with nothing to lose.
func (g *Gate) Leaves() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leaves()
}

// leaves is called with mu held.
func (g *Gate) leaves() error {
	switch {
	case g.ends:
		return ErrEnds
	case g.drains:
		return ErrDrains
	}
	return nil
}

// Elsewhere reports a refusal by which another muxd takes the request.
func Elsewhere(err error) bool { return errors.Is(err, ErrEnds) || errors.Is(err, ErrDrains) }

// Locked returns since when the gate is locked, the zero time where it is not.
func (g *Gate) Locked() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.locked
}

// Drains reports that Drain was called.
func (g *Gate) Drains() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.drains
}

// Request is the refusal of a client's request, nil where it may go on. It may
// wait for long before it has what it opens its channel on, and so asks again by
// Enter.
func (g *Gate) Request() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.request()
}

// request is called with mu held.
func (g *Gate) request() error {
	if !g.locked.IsZero() {
		return ErrLocked
	}
	return g.leaves()
}

// Enter is Request for one that opens its channel now. Until it leaves, which it
// must when the channel is closed here, or where it can be seen elsewhere, it is
// counted here: a muxd that drains must not end before the channel is open, nor
// between its end and the last of what came by it.
func (g *Gate) Enter() (leave func(), err error) {
	g.ending.RLock()
	defer g.ending.RUnlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.request(); err != nil {
		return nil, err
	}
	g.opening++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		g.opening--
		g.mu.Unlock()
	}), nil
}

// Within is the refusal of a channel that belongs to something that stands: a
// connection to a forward, an agent or a display that a session lends. It goes on
// while muxd drains, and not while it is locked.
func (g *Gate) Within() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.locked.IsZero() {
		return ErrLocked
	}
	return nil
}

// Empty reports that nobody has entered and not left.
func (g *Gate) Empty() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opening == 0
}
