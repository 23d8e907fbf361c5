package login

import (
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/internal/knownhosts"
	"muxd/internal/sshauth"
)

// touchTime is the longest that an agent takes to sign without a person: a smart
// card computes an RSA signature in about a second, over a forwarded agent too.
const touchTime = 3 * time.Second

// Touches are the keys whose signature takes a person. The fingerprint is that of
// ssh.FingerprintSHA256.
type Touches interface {
	NeedsTouch(fingerprint string) bool
	SetNeedsTouch(fingerprint string)
}

// watchTouch has a login in the background leave out the keys that are known to
// need a touch, and learn of one by the time that its signature takes, made or
// not. A login that a client waits for uses every key, and teaches nothing: what
// took the agent long there may have been the person, typing its passphrase.
func (a *attempt) watchTouch(cfg *sshauth.Config) {
	if !cfg.Background {
		return
	}
	cfg.Avoid = func(k ssh.PublicKey) bool { return a.Touches.NeedsTouch(agentFingerprint(k)) }
	cfg.Signed = func(k ssh.PublicKey, took time.Duration) {
		if took > touchTime {
			a.Touches.SetNeedsTouch(agentFingerprint(k))
			a.Log.Info("a key seems to need a touch: it is left out where nobody waits", "key", agentFingerprint(k),
				"took", took.Round(time.Millisecond))
		}
	}
}

// agentFingerprint names a key, whose certificate an agent may show beside it.
func agentFingerprint(k ssh.PublicKey) string { return ssh.FingerprintSHA256(knownhosts.Plain(k)) }
