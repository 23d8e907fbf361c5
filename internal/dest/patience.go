package dest

import (
	"time"

	"muxd/internal/sshconf"
)

const (
	// unsetPatience is WaitForReady where it is not set and no person sees the
	// line that says what is waited for: a server restarts within it, and a
	// script is not held up for long by one that is gone.
	unsetPatience = 60 * time.Second
	// Forever is a Patience of a Destination: a wait without a bound.
	Forever = time.Duration(-1)
)

// patienceOf is how long a request waits for its connection (WaitForReady): a
// person at a terminal sees the wait and ends it when they like. seen says that
// there is one.
func patienceOf(conf *sshconf.Config, seen bool) time.Duration {
	on, bound := conf.WaitForReady()
	switch {
	case on == sshconf.No:
		return 0
	case bound > 0:
		return bound
	case on == sshconf.Yes, seen:
		return Forever
	}
	return unsetPatience
}

// Unattended is the destination as something asks for it at that time behind
// which nobody can be seen or asked: it waits as a script does.
func (d *Destination) Unattended(now time.Time) *Destination {
	own := *d
	own.Asked, own.Patience = now, patienceOf(d.Conf, false)
	return &own
}
