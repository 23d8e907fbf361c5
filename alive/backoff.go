package alive

import (
	"math"
	"time"
)

// Caps of the pause between two attempts, by who wants the connection.
const (
	// CapWaiting: a client waits for it, and a person perhaps for the client.
	CapWaiting = 3 * time.Second
	// CapPinned: the destination shall be connected, used or not.
	CapPinned = 30 * time.Second
	// CapForwards: forwards alone stand, and nobody looks at them now.
	CapForwards = 300 * time.Second
)

// Healthy is how long a connection must live for the ladder to begin anew. The
// login alone proves little: a server that accepts and drops at once must not
// be hammered.
const Healthy = 30 * time.Second

const (
	// firstPause and growth make the ladder: pauses of up to 0.5 s x 1.6^n.
	// With full jitter, from zero, many hosts behind one bastion spread best;
	// and the tenth pause is still below a minute, so that a server which
	// reboots is met within seconds of its return.
	firstPause = 500 * time.Millisecond
	growth     = 1.6

	// apart is the least between two starts, whoever asks: `until muxc host`
	// in a shell would otherwise be a denial of service.
	apart = time.Second

	// refusedPause and refusedMost bound the pause after a server sent us
	// away before its version: sshd's penalties are 5 s for a failed login,
	// and they add up to longer when one comes again too early.
	refusedPause = 5 * time.Second
	refusedMost  = 60 * time.Second
)

// A Backoff decides when the next attempt at one destination may start. The
// zero value is ready: nothing was tried, so try at once. It is not safe for
// concurrent use; the goroutine that owns the host's state owns it.
//
// Randomness is drawn when something happens and never by Next, which
// therefore may be asked as often as one likes.
//
//	Started ──► Failed ─────────────────────────┐ one rung up: the pause is longer
//	        └─► Up ──► Lost before 30 s of life ─┘
//	                └► Lost later, or Reset: the ladder begins anew
type Backoff struct {
	// Rand returns a number in [0,1). Nil is no jitter: every pause is as
	// long as it can be.
	Rand func() float64

	failed  int       // attempts since the ladder began
	started time.Time // the newest attempt; zero: none was ever
	up      time.Time // since when the connection lives; zero: there is none
	proven  bool      // its health began the ladder anew already

	from  time.Time // what the pause is counted from
	rung  int       // exponent of the pause; 0: none
	draw  float64   // of the pause, in [0,1]
	reset bool      // from was set by Reset, and nothing started since

	refusals int       // refused attempts in a row
	barred   time.Time // no attempt before it, because of them
}

// Started reports that an attempt begins.
func (b *Backoff) Started(now time.Time) {
	b.started = now
	b.from, b.rung, b.reset = time.Time{}, 0, false
}

// Failed reports that an attempt ended without a connection. Busy says that
// the server sent us away before it told its version, because it has too many
// of us (MaxStartups) or is cross with us (PerSourcePenalties): then nothing
// starts for 5 s, doubled with each such answer in a row to 60 s, and the next
// retry is not at once even then, so that all who were refused together do not
// come again together.
func (b *Backoff) Failed(now time.Time, busy bool) {
	b.health(now)
	b.climb(now)
	if !busy {
		b.refusals = 0
		return
	}
	b.refusals++
	b.barred = now.Add(grown(refusedPause, 2, b.refusals-1, refusedMost))
	b.from, b.rung = b.barred, max(b.rung, 1)
}

// Up reports that an attempt ended with a connection.
func (b *Backoff) Up(now time.Time) {
	b.up, b.proven = now, false
	b.refusals, b.barred = 0, time.Time{}
}

// Lost reports that the connection of the last Up ended; do not report the end
// of one that was replaced. After Healthy of life the ladder is as new, before
// it this counts as a failed attempt.
func (b *Backoff) Lost(now time.Time) {
	if b.up.IsZero() {
		return
	}
	healthy := now.Sub(b.up) >= Healthy
	b.up = time.Time{}
	if !healthy {
		b.climb(now)
		return
	}
	b.failed, b.rung = 0, 0
	if !b.reset { // a Reset's draw holds: a whole network may just have gone
		b.from = now
	}
}

// Reset begins the ladder anew, because something changed: a client's request,
// the network, a wake. With a spread the next attempt is drawn from [0,spread)
// after now, so that all the hosts of a machine that woke do not start at
// once; it delays none that an earlier Reset let start sooner. What a refusal
// barred stays barred, unless hard says that a person asked for it now; how
// many refusals came in a row is forgotten by neither.
func (b *Backoff) Reset(now time.Time, spread time.Duration, hard bool) {
	at := now
	if spread > 0 {
		at = now.Add(time.Duration(b.random() * float64(min(spread, longest))))
	}
	if b.reset {
		at = earliest(b.from, at)
	}
	b.failed, b.rung = 0, 0
	b.from, b.reset = at, true
	if hard {
		b.barred = time.Time{}
	}
}

// Next returns when the next attempt may start, given the cap of those who
// want the connection now; zero, and any time past, is at once. A cap that
// differs from call to call changes the length of the pause and not its luck.
func (b *Backoff) Next(cap time.Duration) time.Time {
	t := b.from
	if b.rung > 0 {
		pause := grown(firstPause, growth, b.rung, min(max(cap, 0), longest))
		t = t.Add(time.Duration(b.draw * float64(pause)))
	}
	if !b.started.IsZero() {
		t = latest(t, b.started.Add(apart))
	}
	return latest(t, b.barred)
}

// Attempts returns how many attempts failed since the ladder began.
func (b *Backoff) Attempts() int { return b.failed }

// climb counts a failure: the first retry is at once, the next after
// a pause that was drawn now.
func (b *Backoff) climb(now time.Time) {
	b.rung = b.failed
	b.failed++
	b.from, b.draw, b.reset = now, b.random(), false
}

// health begins the ladder anew, once, for a connection that lives long enough
// while attempts are made to replace it.
func (b *Backoff) health(now time.Time) {
	if !b.up.IsZero() && !b.proven && now.Sub(b.up) >= Healthy {
		b.failed, b.proven = 0, true
	}
}

func (b *Backoff) random() float64 {
	if b.Rand == nil {
		return 1
	}
	return b.Rand()
}

// grown returns first x factor^n, limited. The power is infinite for a large
// n, which compares as it should and is never made a Duration.
func grown(first time.Duration, factor float64, n int, limit time.Duration) time.Duration {
	d := float64(first) * math.Pow(factor, float64(n))
	if d >= float64(limit) {
		return limit
	}
	return time.Duration(d)
}
