package master

import (
	"time"

	"muxd/alive"
)

// watch drives the link's Prober: it alone feeds it the clock and the time of
// the last byte, so the Prober needs no lock. It never blocks: a probe runs in
// a goroutine of its own, because the SSH library's request has no time limit.
func (l *link) watch() {
	cfg := l.config().Learned(l.warm.now())
	p := alive.New(cfg, time.Now())
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
				l.warm.answered(time.Duration(l.askedAfter.Load()))
			}
		}
		now := time.Now()
		if c := l.config().Learned(l.warm.now()); c != cfg {
			cfg = c
			p.Configure(cfg, now)
		}
		p.Received(l.wire.LastRead())
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
			// An unanswered probe counts again; it is not stacked. A request
			// for proofs is as good as one, and would keep it back.
			if !probing && !l.proving.Load() {
				probing = true
				l.askedAfter.Store(int64(l.silence()))
				go l.probe(answered)
			}
		case alive.Doubt:
			doubted = now
			l.doubt()
		case alive.Dead:
			l.fail(noAnswer(l.silence()))
			return
		}
		// A doubt means that the last byte came before it, so one that came at
		// the same instant came after it.
		if !l.wire.LastRead().Before(doubted) {
			l.trust()
		}
		rearm(timer, p.Deadline())
	}
}

// rearm sets the timer to the deadline; a zero deadline is none.
func rearm(t *time.Timer, at time.Time) {
	t.Stop()
	if !at.IsZero() {
		t.Reset(max(0, time.Until(at)))
	}
}

// probe asks the server for any answer at all: failure is what OpenSSH sends.
// One is outstanding at a time, because the library holds a lock over it that
// every other global request needs.
func (l *link) probe(answered chan<- bool) {
	sent := time.Now()
	l.debugf(1, "sending keepalive@openssh.com after %v of silence", l.silence().Round(time.Millisecond))
	_, _, err := l.conn.SendRequest("keepalive@openssh.com", true, nil)
	if err == nil {
		l.rtt.Store(int64(time.Since(sent)))
		l.debugf(1, "the server answered after %v", time.Since(sent).Round(time.Microsecond))
	}
	answered <- err == nil // capacity 1 and one probe: never blocks
}

// suspicious asks watch to probe now, because somebody met silence.
func (l *link) suspicious() {
	l.mu.Lock()
	l.suspect = true
	l.mu.Unlock()
	l.wake()
}

// resumed tells watch that nothing ran here for a while: silence from before
// counts for nothing, and a probe goes out at once.
func (l *link) resumed() {
	l.mu.Lock()
	l.slept = true
	l.mu.Unlock()
	l.wake()
}

func (l *link) takeSuspicion() (suspect, slept bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	suspect, slept = l.suspect, l.slept
	l.suspect, l.slept = false, false
	return suspect, slept
}

func (l *link) wake() {
	select {
	case l.kick <- struct{}{}:
	default: // watch is already awake, or about to be
	}
}

// doubt takes the link out of service for new work. It closes nothing that
// runs: only the full budget does. A link that carries nothing is not worth
// the wait.
func (l *link) doubt() {
	l.mu.Lock()
	idle := !l.carries()
	was := l.state
	if was == linkReady {
		l.state = linkSuspect
		close(l.doubted)
	}
	l.mu.Unlock()
	if was == linkReady {
		l.tellState(was.String(), linkSuspect, nil)
	}
	l.log.Info("connection does not answer", "silence", l.silence().Round(time.Millisecond), "idle", idle)
	if idle {
		l.fail(noAnswer(l.silence()))
	}
	l.onState(l)
}

// trust puts a suspect link back into service once a byte was seen.
func (l *link) trust() {
	l.mu.Lock()
	back := l.state == linkSuspect
	if back {
		l.state = linkReady
		l.doubted = make(chan struct{})
	}
	l.mu.Unlock()
	if back {
		l.log.Info("connection answers again")
		l.tellState(linkSuspect.String(), linkReady, nil)
		l.onState(l)
	}
}

// doubts is closed when the link turns suspect.
func (l *link) doubts() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doubted
}

// config is what holds now: the destination's values, tightened by those that
// living requests brought with them.
func (l *link) config() alive.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]alive.Config, 0, len(l.configs)+1)
	all = append(all, l.base)
	for _, c := range l.configs {
		all = append(all, c)
	}
	return alive.Tightest(all...)
}
