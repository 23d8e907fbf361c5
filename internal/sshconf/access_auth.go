package sshconf

import "strings"

// IdentityFiles are the keys to offer, expanded, in order. Defaults says that
// nothing was configured and that these are the usual ones, of which most will
// not exist.
func (c *Config) IdentityFiles() (files []File, defaults bool) {
	return c.identities, len(c.files["identityfile"]) == 0
}

// CertificateFiles are the certificates to offer, expanded, in order.
func (c *Config) CertificateFiles() []File { return c.certificates }

// IdentitiesOnly keeps agents from offering other keys than the configured.
func (c *Config) IdentitiesOnly() bool { return c.flag("identitiesonly", false) }

// IdentityAgent is the agent to ask for keys and signatures.
func (c *Config) IdentityAgent() Agent { return c.identityAgent }

// ForwardAgent says whether to lend an agent to the remote host, and which.
func (c *Config) ForwardAgent() (bool, Agent) { return c.flag("forwardagent", false), c.forwardAgent }

// PreferredAuthentications are the methods to try, in order; nil leaves ssh's
// own order: gssapi-with-mic, hostbased, publickey, keyboard-interactive,
// password.
func (c *Config) PreferredAuthentications() []string {
	if v := c.str("preferredauthentications"); v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

// PubkeyAuthentication is yes by default; unbound and host-bound are yes too.
func (c *Config) PubkeyAuthentication() bool { return c.choice("pubkeyauthentication", "yes") != "no" }

// PasswordAuthentication is yes by default.
func (c *Config) PasswordAuthentication() bool { return c.flag("passwordauthentication", true) }

// KbdInteractiveAuthentication is yes by default.
func (c *Config) KbdInteractiveAuthentication() bool {
	return c.flag("kbdinteractiveauthentication", true)
}

// NumberOfPasswordPrompts is 3 by default.
func (c *Config) NumberOfPasswordPrompts() int {
	n, _ := c.number("numberofpasswordprompts", 3)
	return n
}

// minRSA is ssh's SSH_RSA_MINIMUM_MODULUS_SIZE, which RequiredRSASize can only
// raise.
const minRSA = 1024

// RequiredRSASize is the least size of an RSA key in bits, at least 1024.
func (c *Config) RequiredRSASize() int {
	n, _ := c.number("requiredrsasize", minRSA)
	return max(n, minRSA)
}

// StrictHostKeyChecking is yes, accept-new, ask or no; the default is ask.
func (c *Config) StrictHostKeyChecking() string { return c.choice("stricthostkeychecking", "ask") }

// UserKnownHostsFiles are the user's files, expanded; new keys go to the first.
func (c *Config) UserKnownHostsFiles() []string {
	home := strings.TrimSuffix(c.in.Home, "/")
	return c.knownHosts("userknownhostsfile", home+"/.ssh/known_hosts", home+"/.ssh/known_hosts2")
}

// GlobalKnownHostsFiles are the system's files, which ssh does not expand.
func (c *Config) GlobalKnownHostsFiles() []string {
	return c.knownHosts("globalknownhostsfile", systemDir+"/ssh_known_hosts", systemDir+"/ssh_known_hosts2")
}

func (c *Config) knownHosts(name string, defaults ...string) []string {
	v := c.values[name]
	switch {
	case len(v) == 0:
		return defaults
	case lowerASCII(v[0]) == "none":
		return nil
	}
	return v
}

// RevokedHostKeys are files of keys and KRLs never to be trusted, expanded.
func (c *Config) RevokedHostKeys() []string {
	return c.knownHosts("revokedhostkeys")
}

// HostKeyAlias is the name to look host keys up by, in lower case, or "".
func (c *Config) HostKeyAlias() string { return c.str("hostkeyalias") }

// HashKnownHosts hides the names in new lines of known_hosts.
func (c *Config) HashKnownHosts() bool { return c.flag("hashknownhosts", false) }

// CheckHostIP looks host keys up by address too; the default is no.
func (c *Config) CheckHostIP() bool { return c.flag("checkhostip", false) }

// hostKeyTokens are those that KnownHostsCommand knows beside the usual ones:
// fingerprint, name searched for, reason, key and type of key.
const hostKeyTokens = "fHIKt"

// KnownHostsCommand is the argument vector of the command that prints known
// host keys, nil if there is none. extra supplies the tokens %f, %H, %I, %K and
// %t, which depend on the key; it may be nil where none is known.
func (c *Config) KnownHostsCommand(extra map[byte]string) ([]string, error) {
	command := c.textOrNone("knownhostscommand")
	if command == "" {
		return nil, nil
	}
	args, err := splitArgs(nil, command, false)
	if err != nil {
		return nil, fatalf("knownhostscommand: %v", err)
	}
	env := c.in.Env
	if env == nil {
		env = func(string) string { return "" }
	}
	for i, arg := range args {
		args[i], err = expand(arg, connTokens+hostKeyTokens, c.extended(hostKeyTokens, extra), env)
		if err != nil {
			return nil, fatalf("knownhostscommand: %v", err)
		}
	}
	return args, nil
}

// extended looks the tokens in names up in extra, and the others as usual.
func (c *Config) extended(names string, extra map[byte]string) func(byte) string {
	return func(b byte) string {
		if strings.IndexByte(names, b) >= 0 {
			return extra[b]
		}
		return c.tokens.lookup(b)
	}
}

// Ciphers, and the methods below it, work a list of algorithms out of the
// configured one (with +, - or ^ and wildcards), the defaults and all that are
// supported. An error says that nothing is left. Neither argument is changed.
func (c *Config) Ciphers(def, all []string) ([]string, error) { return c.list("ciphers", def, all) }

// MACs is for message authentication codes what Ciphers is for ciphers.
func (c *Config) MACs(def, all []string) ([]string, error) { return c.list("macs", def, all) }

// KexAlgorithms is Ciphers for key exchanges.
func (c *Config) KexAlgorithms(def, all []string) ([]string, error) {
	return c.list("kexalgorithms", def, all)
}

// HostKeyAlgorithms is Ciphers for host keys.
func (c *Config) HostKeyAlgorithms(def, all []string) ([]string, error) {
	return c.list("hostkeyalgorithms", def, all)
}

// PubkeyAcceptedAlgorithms is Ciphers for the user's keys.
func (c *Config) PubkeyAcceptedAlgorithms(def, all []string) ([]string, error) {
	return c.list("pubkeyacceptedalgorithms", def, all)
}

// CASignatureAlgorithms is Ciphers for signatures under host certificates.
func (c *Config) CASignatureAlgorithms(def, all []string) ([]string, error) {
	return c.list("casignaturealgorithms", def, all)
}
