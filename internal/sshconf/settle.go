package sshconf

import "slices"

// consistent refuses what ssh refuses (ssh.c, main, "Tidy and check options").
func (e *evaluator) consistent() error {
	c := e.c
	if n, _ := c.number("connectionattempts", 1); n <= 0 {
		return fatalf("Invalid number of ConnectionAttempts")
	}
	if c.str("proxycommand") == "-" && c.ProxyUseFdpass() {
		return fatalf("ProxyCommand=- and ProxyUseFDPass are incompatible")
	}
	remote := c.textOrNone("remotecommand")
	if e.in.Command != "" && remote != "" {
		return fatalf("Cannot execute command-line and remote command.")
	}
	if c.ForkAfterAuthentication() && e.in.Command == "" && remote == "" && c.SessionType() != "none" {
		return fatalf("Cannot fork into background without a command to execute.")
	}
	return nil
}

// depending settles the keywords whose default, or effect, depends on others.
func (e *evaluator) depending() {
	c := e.c
	for _, name := range []string{"exitonforwardfailure", "clearallforwardings"} {
		if e.in.StdioForward && c.str(name) == "" {
			c.replace(name, []string{"yes"})
		}
	}
	if c.flag("clearallforwardings", false) {
		c.localForwards, c.remoteForwards = nil, nil
		c.replace("tunnel", []string{"no"})
	}
	if c.textOrNone("proxyjump") != "" {
		c.replace("proxyusefdpass", []string{"no"}) // never with a jump host
	}
	c.replace("updatehostkeys", []string{e.updateHostKeys()})
}

// userKnownHosts is the file that UpdateHostKeys may change without being asked.
const userKnownHosts = "~/.ssh/known_hosts"

// updateHostKeys is yes, no or ask (readconf.c, fill_default_options, and ssh.c,
// main, which has no use for ask where nobody could be asked).
func (e *evaluator) updateHostKeys() string {
	c := e.c
	kind := c.str("updatehostkeys")
	if kind == "" {
		files := c.values["userknownhostsfile"]
		if c.choice("verifyhostkeydns", "no") == "no" && (len(files) == 0 || len(files) == 1 && files[0] == userKnownHosts) {
			return "yes"
		}
		return "no"
	}
	if kind != "ask" {
		return kind
	}
	kept := c.choice("controlpersist", "no") != "no" && c.ControlPath() != ""
	command := e.in.Command != "" || c.textOrNone("remotecommand") != "" || c.RequestTTY() == "no"
	silent := slices.Contains([]string{"QUIET", "FATAL", "ERROR"}, c.LogLevel())
	if kept || command || silent {
		return "no"
	}
	return "ask"
}
