package sshconf

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Dump writes the configuration in the format and order of ssh -G, one keyword
// a line: those keywords that accessors answer for, less the lists of
// algorithms, whose defaults the caller has. The names of choices are the words
// that ssh prints, not always those that people write (true for yes).
func (c *Config) Dump(w io.Writer) error {
	d := &dumper{c: c}
	d.put("host", c.in.Host)
	d.put("user", c.User())
	d.put("hostname", c.HostName())
	d.put("port", strconv.Itoa(c.Port()))
	d.put("addressfamily", c.AddressFamily())
	d.flags()
	d.numbers()
	d.strings()
	d.forwards()
	d.files()
	d.rest()
	_, err := io.WriteString(w, d.out.String())
	return err
}

type dumper struct {
	c   *Config
	out strings.Builder
}

func (d *dumper) put(name string, values ...string) {
	d.out.WriteString(name)
	for _, v := range values {
		d.out.WriteByte(' ')
		d.out.WriteString(v)
	}
	d.out.WriteByte('\n')
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// trueFalse is what ssh -G prints for yes and no of a keyword that has more
// than these two.
func trueFalse(s string) string {
	switch s {
	case "yes":
		return "true"
	case "no":
		return "false"
	}
	return s
}

func (d *dumper) flags() {
	c := d.c
	exit, _ := c.ExitOnForwardFailure()
	for _, f := range []struct {
		name string
		on   bool
	}{
		{"batchmode", c.BatchMode()}, {"checkhostip", c.CheckHostIP()}, {"compression", c.Compression()},
		{"exitonforwardfailure", exit}, {"forwardx11", c.ForwardX11()}, {"forwardx11trusted", c.ForwardX11Trusted()},
		{"gatewayports", c.GatewayPorts()}, {"hashknownhosts", c.HashKnownHosts()},
		{"identitiesonly", c.IdentitiesOnly()}, {"kbdinteractiveauthentication", c.KbdInteractiveAuthentication()},
		{"passwordauthentication", c.PasswordAuthentication()}, {"permitlocalcommand", c.PermitLocalCommand()},
		{"proxyusefdpass", c.ProxyUseFdpass() && c.jumps == nil}, {"stdinnull", c.StdinNull()},
		{"forkafterauthentication", c.ForkAfterAuthentication()}, {"tcpkeepalive", c.TCPKeepAlive()},
	} {
		d.put(f.name, yesNo(f.on))
	}
	d.put("controlmaster", trueFalse(c.ControlMaster()))
	d.put("pubkeyauthentication", trueFalse(c.choice("pubkeyauthentication", "yes")))
	d.put("requesttty", trueFalse(c.RequestTTY()))
	d.put("sessiontype", c.SessionType())
	d.put("stricthostkeychecking", trueFalse(c.StrictHostKeyChecking()))
}

func (d *dumper) numbers() {
	c := d.c
	interval, _ := c.ServerAliveInterval()
	count, _ := c.ServerAliveCountMax()
	bits, _ := c.number("requiredrsasize", minRSA)
	d.put("connectionattempts", strconv.Itoa(c.ConnectionAttempts()))
	d.put("numberofpasswordprompts", strconv.Itoa(c.NumberOfPasswordPrompts()))
	d.put("serveralivecountmax", strconv.Itoa(count))
	d.put("serveraliveinterval", inSeconds(interval))
	d.put("requiredrsasize", strconv.Itoa(bits))
}

func inSeconds(t time.Duration) string { return strconv.Itoa(int(t / time.Second)) }

func (d *dumper) strings() {
	c := d.c
	for _, s := range []struct{ name, value string }{
		{"bindaddress", c.BindAddress()}, {"bindinterface", c.BindInterface()},
		{"controlpath", c.ControlPath()}, {"hostkeyalias", c.HostKeyAlias()},
		{"identityagent", c.identityAgent.Configured}, {"ignoreunknown", c.str("ignoreunknown")},
		{"localcommand", c.textOrNone("localcommand")}, {"remotecommand", c.RemoteCommand()},
		{"loglevel", c.LogLevel()}, {"preferredauthentications", c.str("preferredauthentications")},
		{"knownhostscommand", c.textOrNone("knownhostscommand")}, {"tag", c.Tag()},
	} {
		if s.value != "" {
			d.put(s.name, s.value)
		}
	}
}

func (d *dumper) forwards() {
	for _, f := range d.c.localForwards {
		if f.Dynamic {
			d.put("dynamicforward", f.listening())
		}
	}
	for _, f := range d.c.localForwards {
		if !f.Dynamic {
			d.put("localforward", f.listening(), f.connecting())
		}
	}
	for _, f := range d.c.remoteForwards {
		d.put("remoteforward", f.listening(), f.connecting())
	}
}

func (f Forward) listening() string {
	switch {
	case f.ListenPath != "":
		return f.ListenPath
	case f.bareListen:
		return strconv.Itoa(f.ListenPort)
	}
	return fmt.Sprintf("[%s]:%d", f.ListenHost, f.ListenPort)
}

func (f Forward) connecting() string {
	switch {
	case f.ConnectPath != "":
		return f.ConnectPath
	case f.Dynamic:
		return "[socks]:0"
	}
	return fmt.Sprintf("[%s]:%d", f.ConnectHost, f.ConnectPort)
}

func (d *dumper) files() {
	c := d.c
	ids, _ := c.Get("identityfile")
	if len(ids) == 0 {
		ids = defaultIdentities
	}
	certs, _ := c.Get("certificatefile")
	for _, f := range ids {
		d.put("identityfile", f)
	}
	for _, f := range certs {
		d.put("certificatefile", f)
	}
	d.put("globalknownhostsfile", orNone(c.GlobalKnownHostsFiles())...)
	d.put("userknownhostsfile", orNone(c.UserKnownHostsFiles())...)
	d.put("revokedhostkeys", orNone(c.RevokedHostKeys())...)
	for _, v := range c.SendEnv() {
		d.put("sendenv", v)
	}
	for _, v := range c.SetEnv() {
		d.put("setenv", v)
	}
}

func orNone(list []string) []string {
	if len(list) == 0 {
		return []string{"none"}
	}
	return list
}

func (d *dumper) rest() {
	c := d.c
	on, agent := c.ForwardAgent()
	if agent.Configured != "" {
		d.put("forwardagent", agent.Configured)
	} else {
		d.put("forwardagent", yesNo(on))
	}
	if t := c.ConnectTimeout(); c.str("connecttimeout") == "" {
		d.put("connecttimeout", "none")
	} else {
		d.put("connecttimeout", inSeconds(t))
	}
	d.put("controlpersist", c.choice("controlpersist", "no"))
	d.put("escapechar", escapeName(c.EscapeChar()))
	interactive, bulk := c.IPQoS()
	d.put("ipqos", qosName(interactive), qosName(bulk))
	size, interval := c.RekeyLimit()
	d.put("rekeylimit", strconv.FormatInt(size, 10), inSeconds(interval))
	switch {
	case c.jumps != nil:
		d.put("proxyjump", c.str("proxyjump"))
	case c.textOrNone("proxycommand") != "":
		d.put("proxycommand", c.str("proxycommand"))
	}
}

// qosName is the name of a DSCP byte, or its number where it has none. Only
// qosNone has several names, so that the order of the map does not matter.
func qosName(n int) string {
	if n == qosNone {
		return "none"
	}
	for name, value := range qosNames {
		if value == n {
			return name
		}
	}
	return fmt.Sprintf("0x%02x", n)
}

// escapeName writes the escape character as vis(3) does for ssh -G.
func escapeName(n int) string {
	switch {
	case n < 0:
		return "none"
	case n == '\\':
		return `\\`
	case n == ' ':
		return `\040`
	case n < ' ' || n == 0x7f:
		return `\^` + string(rune(n^0x40))
	case n > 0x7f:
		return fmt.Sprintf(`\%03o`, n)
	}
	return string(rune(n))
}
