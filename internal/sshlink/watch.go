package sshlink

import (
	"context"
	"fmt"
	"time"

	"muxd/alive"
)

// watch drives the link's Prober: it alone feeds it the clock and the time of
// the last byte, so the Prober needs no lock. It never blocks: a probe runs in
// a goroutine of its own, because the SSH library's request has no time limit.
func (l *Link) watch() {
	cfg := l.terms().Learned(l.Warm.now)
	p := alive.New(cfg, time.Now())
	p.Align(l.Epoch)
	timer := time.NewTimer(0)
	defer timer.Stop()
	answered := make(chan bool, 1)
	probing := false
	var doubted time.Time
	for {
		select {
		case <-l.done:
			return
		case <-l.kick:
		case <-timer.C:
		case ok := <-answered:
			probing = false
			if ok {
				p.Answered(time.Now())
				l.Warm.answered(l.AskedAfter())
			}
		}
		now := time.Now()
		if c := l.terms().Learned(l.Warm.now); c != cfg {
			cfg = c
			p.Configure(cfg, now)
		}
		p.Received(l.Wire.LastRead())
		suspect, slept := l.takeSuspicion()
		if slept {
			p.Resumed(now)
		}
		if suspect {
			p.Suspect(now)
		}
		switch p.Tick(now) {
		case alive.Probe:
			p.Sent(now)
			// An Unanswered probe counts again; it is not stacked. A request
			// for proofs is as good as one, and would keep it back.
			if !probing && !l.proving.Load() {
				probing = true
				l.askedAfter.Store(int64(l.Silence()))
				go l.probe(answered)
			}
		case alive.Doubt:
			doubted = now
			l.doubt()
		case alive.Dead:
			if l.Wire.ReadOver() { // reap says how it ended
				l.Wire.Close()
			} else {
				l.Fail(NoAnswer(l.Silence()))
			}
			return
		}
		// A doubt means that the last byte came before it, so one that came at
		// the same instant came after it.
		if !l.Wire.LastRead().Before(doubted) {
			l.trust()
		}
		timer.Stop()
		if at := p.Deadline(); !at.IsZero() {
			timer.Reset(max(0, time.Until(at)))
		}
	}
}

// probe asks the server for any answer at all: failure is what OpenSSH sends.
// One is outstanding at a time, because the library holds a lock over it that
// every other global request needs.
func (l *Link) probe(answered chan<- bool) {
	sent := time.Now()
	l.debugf(1, "sending keepalive@openssh.com after %v of silence", l.Silence().Round(time.Millisecond))
	_, _, err := l.Conn.SendRequest("keepalive@openssh.com", true, nil)
	if err == nil {
		l.probed.Store(true)
		l.rtt.Store(int64(time.Since(sent)))
		l.debugf(1, "the server answered after %v", time.Since(sent).Round(time.Microsecond))
	}
	answered <- err == nil // capacity 1 and one probe: never blocks
}

// RTT is the round trip time of the last answered probe, 0 while there was none.
func (l *Link) RTT() time.Duration { return time.Duration(l.rtt.Load()) }

// AskedAfter is the silence after which the last probe was sent.
func (l *Link) AskedAfter() time.Duration { return time.Duration(l.askedAfter.Load()) }

// Suspect asks watch to probe now, because somebody met silence.
func (l *Link) Suspect() {
	l.mu.Lock()
	l.suspect = true
	l.mu.Unlock()
	l.Wake()
}

// Resumed tells watch that nothing ran here for a while: silence from before
// counts for nothing, and a probe goes out at once.
func (l *Link) Resumed() {
	l.mu.Lock()
	l.slept = true
	l.mu.Unlock()
	l.Wake()
}

func (l *Link) takeSuspicion() (suspect, slept bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	suspect, slept = l.suspect, l.slept
	l.suspect, l.slept = false, false
	return suspect, slept
}

// Wake has watch look again at what it goes by: the terms, or what was learned.
func (l *Link) Wake() {
	select {
	case l.kick <- struct{}{}:
	default: // watch is already awake, or about to be
	}
}

// doubt takes the link out of service for new work. It closes nothing that
// runs: only the full budget does. A link that carries nothing is not worth
// the wait.
func (l *Link) doubt() {
	l.mu.Lock()
	idle := !l.carries()
	if l.Wire.ReadOver() { // looked at after, as in drained: it ended by itself, which is why it is idle
		l.mu.Unlock()
		return
	}
	if idle && l.err == nil { // with the same lock, as in drained
		l.err = NoAnswer(l.Silence())
	}
	if l.state == Ready {
		l.move(Suspect)
		close(l.doubted)
	}
	l.mu.Unlock()
	l.Log.Info("connection does not answer", "silence", l.Silence().Round(time.Millisecond), "idle", idle)
	if idle {
		l.Wire.Close()
	}
	l.Owner.Changed()
}

// trust puts a suspect link back into service once a byte was seen.
func (l *Link) trust() {
	l.mu.Lock()
	back := l.state == Suspect
	if back {
		l.move(Ready)
		l.doubted = make(chan struct{})
	}
	l.mu.Unlock()
	if back {
		l.Log.Info("connection answers again")
		l.Owner.Changed()
	}
}

// doubts is closed when the link turns suspect.
func (l *Link) doubts() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doubted
}

// terms is what holds now: the destination's values, tightened by those that
// living requests brought with them.
func (l *Link) terms() alive.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]alive.Config, 0, len(l.configs)+1)
	all = append(all, l.Alive)
	for _, c := range l.configs {
		all = append(all, c)
	}
	return alive.Tightest(all...)
}

const (
	// proofPatience bounds the wait for a sign of life: the longest short
	// verdict of alive.Prober.
	proofPatience = 5 * time.Second
	// fresh is how old a byte may be to be a sign of life by itself.
	fresh = time.Second
)

// Proven waits until the server has sent a byte, in answer to a probe if need
// be, or says why there is no proof.
func (l *Link) Proven(ctx context.Context) error {
	if l.Silence() < fresh {
		return l.Err()
	}
	from := l.Wire.LastRead()
	l.Suspect()
	limit := time.NewTimer(proofPatience)
	defer limit.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for seen := false; ; {
		select {
		case <-look.C:
			if seen {
				return nil
			}
			// The byte is stamped before anybody has read it; by the next look its
			// answer has come to whoever measures the round trip.
			seen = l.Wire.LastRead().After(from)
		case <-l.done:
			return l.Err()
		case <-limit.C:
			return fmt.Errorf("no byte for %v", l.Silence().Round(time.Second))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
