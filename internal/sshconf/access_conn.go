package sshconf

import (
	"strconv"
	"time"
)

// defaultPort is IANA's for ssh.
const defaultPort = 22

// HostName is where to connect to: HostName with %h expanded, else the host as
// typed; names are in lower case.
func (c *Config) HostName() string { return c.str("hostname") }

// User is the remote user; the default is the local user's name.
func (c *Config) User() string { return c.tokens.user }

// Port is the remote port, 22 by default.
func (c *Config) Port() int {
	n, _ := c.number("port", defaultPort)
	return n
}

// Hash is the token %C, the name by which ssh's users tell connections apart.
func (c *Config) Hash() string { return c.tokens.hash() }

// AddressFamily is any, inet or inet6.
func (c *Config) AddressFamily() string { return c.choice("addressfamily", "any") }

// BindAddress is the local address to connect from, or "".
func (c *Config) BindAddress() string { return c.str("bindaddress") }

// BindInterface is the interface whose address to connect from, or "".
func (c *Config) BindInterface() string { return c.str("bindinterface") }

// ConnectTimeout bounds connecting and the first key exchange; 0 is no bound.
func (c *Config) ConnectTimeout() time.Duration {
	d, _ := c.time("connecttimeout")
	return d
}

// ConnectionAttempts is how often to try all addresses, 1 by default.
func (c *Config) ConnectionAttempts() int {
	n, _ := c.number("connectionattempts", 1)
	return n
}

// TCPKeepAlive asks for keep-alive by the kernel; the default is yes.
func (c *Config) TCPKeepAlive() bool { return c.flag("tcpkeepalive", true) }

// IPQoS is the DSCP byte (0 to 255) for interactive and for bulk traffic, -1
// where the system's default is to stay. The default is ef and cs0.
func (c *Config) IPQoS() (interactive, bulk int) {
	v := c.values["ipqos"]
	if len(v) != 2 {
		return qosNames["ef"], qosNames["cs0"]
	}
	interactive, _ = strconv.Atoi(v[0])
	bulk, _ = strconv.Atoi(v[1])
	return interactive, bulk
}

// ServerAliveInterval is the silence after which ssh probes; 0 is never. Set
// tells an explicit 0 or none from silence about the matter.
func (c *Config) ServerAliveInterval() (d time.Duration, set bool) {
	d, set = c.time("serveraliveinterval")
	return d, set || c.off["serveraliveinterval"]
}

// ServerAliveCountMax is how many probes may go unanswered, 3 by default.
func (c *Config) ServerAliveCountMax() (n int, set bool) {
	return c.number("serveralivecountmax", 3)
}

// Compression is no by default.
func (c *Config) Compression() bool { return c.flag("compression", false) }

// RekeyLimit is the number of bytes and the time after which new keys are due;
// 0 is the default of the cipher, and no limit of time.
func (c *Config) RekeyLimit() (bytes int64, interval time.Duration) {
	v := c.values["rekeylimit"]
	if len(v) > 0 {
		bytes, _ = strconv.ParseInt(v[0], 10, 64)
	}
	if len(v) > 1 {
		interval = seconds(v[1])
	}
	return bytes, interval
}

// ProxyCommand is the command to reach the host through, expanded, for the
// user's shell to exec; "" if there is none. At most one of it and ProxyJump
// is set.
func (c *Config) ProxyCommand() string {
	if c.jumps != nil {
		return ""
	}
	return c.proxyCommand
}

// ProxyUseFdpass says that the ProxyCommand hands back a connected descriptor.
func (c *Config) ProxyUseFdpass() bool { return c.flag("proxyusefdpass", false) }

// ProxyJump lists the hops to the host, the first to be reached first; nil if
// there are none. Every hop has its own configuration.
func (c *Config) ProxyJump() []Jump { return c.jumps }

// Tag is what Match tagged compares with, "" by default.
func (c *Config) Tag() string { return c.str("tag") }

// LogLevel is QUIET, FATAL, ERROR, INFO, VERBOSE, DEBUG, DEBUG2 or DEBUG3.
func (c *Config) LogLevel() string { return c.choice("loglevel", "INFO") }

// Quiet reports a LogLevel that leaves out errors.
func (c *Config) Quiet() bool { return c.LogLevel() == "QUIET" || c.LogLevel() == "FATAL" }

// Informs reports a LogLevel that shows remarks (log.h, SYSLOG_LEVEL_INFO).
func (c *Config) Informs() bool { return !c.Quiet() && c.LogLevel() != "ERROR" }

// BatchMode forbids every question to the user.
func (c *Config) BatchMode() bool { return c.flag("batchmode", false) }
