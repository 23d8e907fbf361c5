package forward

import (
	"context"
	"fmt"
	"net"
	"sync"

	"muxd/control"
)

// probesAtOnce bounds how many far sides are opened at one moment.
const probesAtOnce = 16

// Probe is Status, having opened the far side of every forward that leads to a
// fixed one, and closed it again without a byte. It waits for all of them, or
// for ctx. Where a client says where it goes there is nothing to open.
func (s *Set) Probe(ctx context.Context) []control.ForwardStatus {
	s.mu.Lock()
	list := append([]*forward(nil), s.list...)
	s.mu.Unlock()
	found := make([]error, len(list))
	places := make(chan struct{}, probesAtOnce)
	var all sync.WaitGroup
	for i, w := range list {
		if w.want.Kind.Dynamic() {
			continue
		}
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			found[i] = w.probe(ctx)
		})
	}
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	states := make([]control.ForwardStatus, 0, len(list))
	for i, w := range list {
		st := w.status()
		if st.State == "" {
			continue // it ended meanwhile
		}
		if st.Probed = !w.want.Kind.Dynamic(); found[i] != nil {
			st.Probe = found[i].Error()
		}
		states = append(states, st)
	}
	return states
}

// probeFrom is where a probe says that it comes from: RFC 4254 section 7.2 wants
// an address, and nobody connected.
var probeFrom = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 65535}

func (w *forward) probe(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.ctx, cancel)()
	if w.want.Kind.Remote() {
		nc, err := w.dial(ctx, w.want.Connect)
		if err == nil {
			nc.Close()
		}
		return err
	}
	ch, err := w.set.cfg.Open(ctx, w.want.Connect, probeFrom)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", w.want.Connect, err)
	}
	ch.Close() // how it ends says nothing about whether it could be had
	return nil
}
