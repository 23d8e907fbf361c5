package sshconf

import "time"

// Three is an answer with a third possibility: nothing was said.
type Three int

const (
	// Unset is silence: the caller's default applies.
	Unset Three = iota
	// No is an explicit no.
	No
	// Yes is an explicit yes.
	Yes
)

func (c *Config) three(name string) Three {
	switch c.str(name) {
	case "yes":
		return Yes
	case "no":
		return No
	}
	return Unset
}

// flagOrTime is for keywords that are yes, no or a time, which is a yes.
func (c *Config) flagOrTime(name string) (Three, time.Duration) {
	if n, ok := c.number(name, 0); ok {
		return Yes, time.Duration(n) * time.Second
	}
	return c.three(name), 0
}

// Pinned keeps the connection open whether it is used or not.
func (c *Config) Pinned() Three { return c.three("pinned") }

// WaitForReady makes requests wait through an outage; the time, if not 0, is
// the longest wait, and a wait of 0 is a no.
func (c *Config) WaitForReady() (Three, time.Duration) {
	on, d := c.flagOrTime("waitforready")
	if on == Yes && d == 0 && c.str("waitforready") != "yes" {
		return No, 0
	}
	return on, d
}

// MaxConnections bounds the connections to one destination.
func (c *Config) MaxConnections() (n int, set bool) { return c.number("maxconnections", 0) }

// RememberSecrets keeps decrypted keys in memory, never passwords; the time, if
// not 0, is for how long. It is on where nothing was said.
func (c *Config) RememberSecrets() (Three, time.Duration) { return c.flagOrTime("remembersecrets") }

// Reattach is the command that runs in place of a session on a terminal that
// was lost, "" for none, as written.
func (c *Config) Reattach() string { return c.textOrNone("reattach") }

// KeepWarm is the silence after which an idle connection is used, so that no
// firewall forgets it; 0 is never. What was learned holds where it is not set.
func (c *Config) KeepWarm() (d time.Duration, set bool) {
	on, d := c.flagOrTime("keepwarm")
	return d, on == No || on == Yes && c.str("keepwarm") != "yes"
}

// StickyForward keeps forwards when the client that asked for them has gone.
func (c *Config) StickyForward() Three { return c.three("stickyforward") }

// Bulk marks traffic that is to have a connection of its own.
func (c *Config) Bulk() Three { return c.three("bulk") }

// ErrorFormat is text or json, "" where nothing was said.
func (c *Config) ErrorFormat() string { return c.str("errorformat") }

// ConnectionHash is %C: what ssh names a connection by, in ControlPath above all.
func (c *Config) ConnectionHash() string { return c.tokens.hash() }

// ControlSockets serves ControlPath sockets for unmodified ssh.
func (c *Config) ControlSockets() Three { return c.three("controlsockets") }

// FdPass has a stdio forward's connection passed to whoever started the client,
// as ssh's ProxyUseFdpass expects it of a ProxyCommand.
func (c *Config) FdPass() Three { return c.three("fdpass") }

// MaxLifetime is the age at which a connection takes nothing new any more.
func (c *Config) MaxLifetime() (d time.Duration, set bool) { return c.time("maxlifetime") }

// Confirm asks the person behind a request before something begins for it.
func (c *Config) Confirm() Three { return c.three("confirm") }

// Share lets other clients use the connection; no gives each its own.
func (c *Config) Share() Three { return c.three("share") }

// Audit has a line in the log for each channel.
func (c *Config) Audit() Three { return c.three("audit") }

// NotifyCommand is run when the destination needs a person, and when it does not
// any more, as written.
func (c *Config) NotifyCommand() string { return c.textOrNone("notifycommand") }

// TCPKeepAliveIdle is TCP_KEEPIDLE: the silence before the first keep-alive.
func (c *Config) TCPKeepAliveIdle() (d time.Duration, set bool) { return c.time("tcpkeepaliveidle") }

// TCPKeepAliveInterval is TCP_KEEPINTVL: the time between keep-alives.
func (c *Config) TCPKeepAliveInterval() (d time.Duration, set bool) {
	return c.time("tcpkeepaliveinterval")
}

// TCPKeepAliveCount is TCP_KEEPCNT: how many may go unanswered.
func (c *Config) TCPKeepAliveCount() (n int, set bool) { return c.number("tcpkeepalivecount", 0) }

// TCPNoDelay sends small packets at once; the default is yes, as ssh does for
// terminals.
func (c *Config) TCPNoDelay() bool { return c.three("tcpnodelay") != No }

// TCPUserTimeout is TCP_USER_TIMEOUT: how long sent data may stay
// unacknowledged.
func (c *Config) TCPUserTimeout() (d time.Duration, set bool) { return c.time("tcpusertimeout") }
