package forward

import (
	"context"

	"muxd/control"
)

// Kept is a forward that stands without a client.
type Kept struct {
	Forward control.Forward
	How     control.ForwardOptions
	Port    int // of a remote one whose port a server chose; 0: none has yet
}

// AddKept is Add for a forward of another Set, which was told to people: a port
// that a server chose is asked for and no other.
func (s *Set) AddKept(ctx context.Context, k Kept, o *Owner) (port int, err error) {
	return s.put(ctx, k.Forward, k.How, k.Port, o, true, nil)
}

// Sticky are the forwards that a sticky owner wants, in the order of Add.
func (s *Set) Sticky() []Kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Kept
	for _, w := range s.list {
		for _, c := range w.claims {
			if c.Sticky {
				all = append(all, Kept{w.want, w.how, w.port})
				break
			}
		}
	}
	return all
}

// Trouble is what a forward that stands could not do of all that it was to: an
// address of several that is taken. "" is nothing.
func (s *Set) Trouble(f control.Forward) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.find(f); w != nil && w.partly != nil {
		return w.partly.Error()
	}
	return ""
}
