package sshlink

import (
	"time"

	"muxd/alive"
)

// Learned keeps what is known of the paths to hosts.
type Learned interface {
	Warmth(dest, network string) alive.Warmth
	SetWarmth(dest, network string, w alive.Warmth)
}

// Warm is what a link learns of its idle life, and from other links of its host.
type Warm struct {
	Learned Learned // nil: nothing is learned on this link
	Key     string  // of the host
	Network string
}

// now is what is known of it.
func (k *Warm) now() alive.Warmth {
	if k.Learned == nil {
		return alive.Warmth{}
	}
	return k.Learned.Warmth(k.Key, k.Network)
}

// answered draws the lesson of a probe that was answered after that silence.
func (k *Warm) answered(silence time.Duration) {
	if k.Learned == nil {
		return
	}
	was := k.now()
	w := was
	if w.Answered(silence); w != was {
		k.Learned.SetWarmth(k.Key, k.Network, w)
	}
}
