package master

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/history"
)

// eventsHeld is how many events a reader may be behind before it loses some.
const eventsHeld = 1024

// hub hands every event to everybody who listens, and keeps the newest. The zero
// value has nobody.
type hub struct {
	mu        sync.Mutex
	listeners map[*listener]struct{} // guarded by mu
	past      history.Ring           // guarded by mu
}

// listener is one reader of events.
type listener struct {
	key  string // of the host it wants to hear of; "" is all
	wake chan struct{}

	mu   sync.Mutex
	held []control.Event // guarded by mu
	lost int             // guarded by mu; since the last one that was held
}

// tell hands e, which is about the host of that key or of none, to whoever
// wants it. It never blocks.
func (b *hub) tell(e control.Event, key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.past.Add(e, key)
	for l := range b.listeners {
		if l.key == "" || key == "" || l.key == key {
			l.put(e)
		}
	}
}

func (l *listener) put(e control.Event) {
	l.mu.Lock()
	if len(l.held) >= eventsHeld {
		l.lost++
	} else {
		l.held = append(l.held, e)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default: // it is awake, or about to be
	}
}

// take returns what is held, oldest first.
func (l *listener) take() []control.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	es := l.held
	if l.lost > 0 {
		es = append(es, control.Event{Time: time.Now(), Kind: control.EventLost, To: strconv.Itoa(l.lost)})
	}
	l.held, l.lost = nil, 0
	return es
}

func (b *hub) listen(key string) *listener {
	l, _ := b.listenSince(key, 0)
	return l
}

// listenSince is listen, and what happened until then: no event is in neither, or
// in both.
func (b *hub) listenSince(key string, since time.Duration) (l *listener, past []control.Event) {
	l = &listener{key: key, wake: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if since > 0 {
		past = b.pastOf(key, time.Now().Add(-since))
	}
	if b.listeners == nil {
		b.listeners = map[*listener]struct{}{}
	}
	b.listeners[l] = struct{}{}
	return l, past
}

// pastOf is called with mu held.
func (b *hub) pastOf(key string, then time.Time) []control.Event {
	past, forgotten := b.past.Since(then, key)
	if forgotten == 0 {
		return past
	}
	lost := control.Event{Time: then, Kind: control.EventLost, To: strconv.Itoa(forgotten),
		Text: fmt.Sprintf("at most, and of all hosts: muxd keeps the newest %d", history.Most)}
	return append([]control.Event{lost}, past...)
}

func (b *hub) leave(l *listener) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.listeners, l)
}

// Events implements control.Backend.
func (m *Master) Events(ctx context.Context, r *control.EventsRequest, f func(control.Event) error) error {
	key := ""
	d, one := r.Dest.(*dest.Destination)
	if one {
		key = d.Key
	}
	l, first := m.events.listenSince(key, r.Since) // before the first look, so that nothing falls between
	defer m.events.leave(l)
	if !r.Only {
		first = append(first, m.standing(d)...)
	}
	for _, e := range first {
		if err := f(e); err != nil {
			return err
		}
	}
	if r.Only {
		return nil
	}
	for {
		for _, e := range l.take() {
			if err := f(e); err != nil {
				return err
			}
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-m.ctx.Done():
			return errStopping
		}
	}
}

// standing is how all hosts stand, or that of d if it is not nil.
func (m *Master) standing(d *dest.Destination) []control.Event {
	hs := m.all()
	if d != nil {
		h := m.lookup(d)
		if h == nil {
			return []control.Event{{Time: time.Now(), Kind: control.EventHost, Host: d.Name, User: d.User, Addr: d.Addr(), To: Idle.String()}}
		}
		hs = []*host{h}
	}
	var es []control.Event
	for _, h := range hs {
		st := h.status()
		es = append(es, control.Event{Time: time.Now(), Kind: control.EventHost, Host: st.Name, User: st.User, Addr: st.Addr, To: st.State, Text: st.LastErr})
	}
	return es
}

// event is one about the host. Called in run.
func (h *host) event(kind control.EventKind) control.Event {
	return eventOf(h.dest, kind)
}

func eventOf(d *dest.Destination, kind control.EventKind) control.Event {
	return control.Event{Time: time.Now(), Kind: kind, Host: d.Name, User: d.User, Addr: d.Addr()}
}
