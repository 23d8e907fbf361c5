package sshconf

import "time"

// SendEnv are the patterns of variables to pass on; what -pattern removed is
// gone already.
func (c *Config) SendEnv() []string { return c.values["sendenv"] }

// Sends reports whether SendEnv passes the variable on.
func (c *Config) Sends(name string) bool {
	for _, pattern := range c.SendEnv() {
		if match(name, pattern) {
			return true
		}
	}
	return false
}

// SetEnv are NAME=value pairs for the remote session, expanded.
func (c *Config) SetEnv() []string { return c.values["setenv"] }

// RequestTTY is auto, no, yes or force.
func (c *Config) RequestTTY() string { return c.choice("requesttty", "auto") }

// SessionType is default, none or subsystem.
func (c *Config) SessionType() string { return c.choice("sessiontype", "default") }

// RemoteCommand is the command to run where the command line has none,
// expanded, or "".
func (c *Config) RemoteCommand() string { return c.textOrNone("remotecommand") }

// StdinNull reads standard input from /dev/null.
func (c *Config) StdinNull() bool { return c.flag("stdinnull", false) }

// ForkAfterAuthentication goes to the background once the session stands.
func (c *Config) ForkAfterAuthentication() bool { return c.flag("forkafterauthentication", false) }

// EscapeChar is the byte that begins an escape, ~ by default, -1 for none.
func (c *Config) EscapeChar() int {
	if c.str("escapechar") == "none" {
		return -1
	}
	n, _ := c.number("escapechar", '~')
	return n
}

// ForwardX11 is no by default.
func (c *Config) ForwardX11() bool { return c.flag("forwardx11", false) }

// ForwardX11Trusted is no by default.
func (c *Config) ForwardX11Trusted() bool { return c.flag("forwardx11trusted", false) }

// LocalForwards are LocalForward and DynamicForward, in order, without
// repetitions; paths are expanded.
func (c *Config) LocalForwards() []Forward { return c.localForwards }

// RemoteForwards are RemoteForward, dynamic ones too.
func (c *Config) RemoteForwards() []Forward { return c.remoteForwards }

// ExitOnForwardFailure ends the connection if a forward cannot be had. Set
// tells an explicit no from silence, since -W means yes.
func (c *Config) ExitOnForwardFailure() (on, set bool) {
	_, set = c.Get("exitonforwardfailure")
	return c.flag("exitonforwardfailure", false), set
}

// GatewayPorts lets other machines connect to local forwards.
func (c *Config) GatewayPorts() bool { return c.flag("gatewayports", false) }

// PermitLocalCommand allows LocalCommand.
func (c *Config) PermitLocalCommand() bool { return c.flag("permitlocalcommand", false) }

// LocalCommand is the command to run here once connected, expanded, "" if there
// is none. tun is the token %T, the tunnel interface, or NONE.
func (c *Config) LocalCommand(tun string) (string, error) {
	command := c.textOrNone("localcommand")
	s, err := expand(command, connTokens+"T", c.extended("T", map[byte]string{'T': tun}), nil)
	if err != nil {
		return "", fatalf("localcommand: %v", err)
	}
	return s, nil
}

// Persist says how long a connection stays when nobody uses it.
type Persist int

const (
	// PersistUnset is silence about the matter; ssh reads it as no.
	PersistUnset Persist = iota
	// PersistNo closes with the last session.
	PersistNo
	// PersistForever never closes.
	PersistForever
	// PersistFor closes after some time.
	PersistFor
)

// ControlPersist is the kind and, for PersistFor, the time.
func (c *Config) ControlPersist() (Persist, time.Duration) {
	switch v := c.str("controlpersist"); v {
	case "":
		return PersistUnset, 0
	case "no":
		return PersistNo, 0
	case "yes":
		return PersistForever, 0
	default:
		return PersistFor, seconds(v)
	}
}

// ControlPath is the socket that ssh would share, expanded, or "".
func (c *Config) ControlPath() string { return c.textOrNone("controlpath") }

// ControlMaster is no, yes, ask, auto or autoask.
func (c *Config) ControlMaster() string { return c.choice("controlmaster", "no") }
