package sshconf

import (
	"strconv"
	"time"
)

// Listening is the host to listen on, as it was written, and whether one was
// written at all: an empty one means every address, none leaves it to
// GatewayPorts here and to the server there (readconf.c, parse_forward).
func (f Forward) Listening() (host string, written bool) { return f.ListenHost, !f.bareListen }

// StreamLocalBindMask are the permissions that a forward's Unix socket does not
// get; 0177 by default.
func (c *Config) StreamLocalBindMask() uint32 {
	n, err := strconv.ParseUint(c.str("streamlocalbindmask"), 8, 32)
	if err != nil {
		return 0o177
	}
	return uint32(n)
}

// StreamLocalBindUnlink removes what stands at the path of a forward's Unix
// socket before it is made.
func (c *Config) StreamLocalBindUnlink() bool { return c.flag("streamlocalbindunlink", false) }

// PermitRemoteOpen is where a remote forward without a target may lead, as
// host:port with * for anything; empty is anywhere, and "none" alone nowhere.
func (c *Config) PermitRemoteOpen() []string {
	v := c.values["permitremoteopen"]
	if len(v) == 1 && lowerASCII(v[0]) == "any" {
		return nil
	}
	return v
}

// ForwardX11Timeout is how long an untrusted display is lent, 0 for as long as
// the session lasts; 20 minutes by default.
func (c *Config) ForwardX11Timeout() time.Duration {
	d, set := c.time("forwardx11timeout")
	if !set {
		return 20 * time.Minute
	}
	return d
}

// XAuthLocation is the program that knows the cookies of displays.
func (c *Config) XAuthLocation() string { return c.choice("xauthlocation", defaultXAuth) }
