package master

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/getopt"
	"muxd/internal/sshconf"
)

// resolve finds the destination by the command line and the configuration.
func (m *Master) resolve(line *getopt.CommandLine, c *commandLine, v *control.Invocation) (*destination, error) {
	host, err := c.destination(line.Destination)
	if err != nil {
		return nil, err
	}
	d, err := m.destination(line.Destination, host, c, v, strings.Join(line.Command, " "), 0)
	if err == nil {
		d.again = m.resolveAgain(line, c, v)
	}
	return d, err
}

// resolveAgain is resolve for when the client is gone: what only it could run
// makes it fail.
func (m *Master) resolveAgain(line *getopt.CommandLine, c *commandLine, v *control.Invocation) func() (*destination, error) {
	return func() (*destination, error) {
		own := *c
		own.settings = slices.Clone(c.settings)
		own.run = func(control.Command) (control.Ran, error) { return control.Ran{}, control.ErrNobody }
		return m.resolve(line, &own, v)
	}
}

// destination takes the words of the destination apart and returns the host.
// ssh gives user@ and a port in the URI the place they have on the command
// line: after the options, before the configuration.
func (c *commandLine) destination(name string) (string, error) {
	user, host, port, err := getopt.SplitDestination(name)
	if user != "" {
		c.set("User", user)
	}
	if port != 0 {
		c.set("Port", fmt.Sprint(port))
	}
	return host, err
}

// printed is -G: the configuration as it applies to the destination. Nothing
// that it names is looked for, so that it works for hosts that do not.
func (m *Master) printed(line *getopt.CommandLine, c *commandLine, v *control.Invocation) (*control.Plan, error) {
	host, err := c.destination(line.Destination)
	if err != nil {
		return nil, err
	}
	in := m.input(host, c, v)
	in.Command = strings.Join(line.Command, " ")
	conf, err := sshconf.Resolve(in)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := conf.Dump(&b, offer()); err != nil {
		return nil, err
	}
	return &control.Plan{Text: b.Bytes()}, nil
}

// destination resolves one host, a jump host at some depth of a chain or, at 0,
// the one that was asked for.
func (m *Master) destination(name, host string, c *commandLine, v *control.Invocation, command string, depth int) (*destination, error) {
	in := m.input(host, c, v)
	in.Command = command
	answers := remember(&in)
	conf, err := sshconf.Resolve(in)
	if err != nil {
		return nil, err
	}
	d := &destination{name: name, user: conf.User(), host: conf.HostName(), port: conf.Port(), conf: conf,
		batch: conf.BatchMode(), agent: conf.IdentityAgent().Socket, alive: aliveConfig(conf), verbose: verbosity(conf),
		asked: time.Now(), patience: patienceOf(conf, v.TTY[2] && !quiet(conf) && !c.logs)}
	if err := getopt.ValidHost(d.host); err != nil {
		return nil, err
	}
	if err := getopt.ValidUser(d.user); err != nil {
		return nil, err
	}
	if without, cut := withoutAlive(in.Options); cut {
		in.Options, in.Exec = without, answers.again
		if base, err := sshconf.Resolve(in); err == nil {
			override := d.alive
			d.alive, d.aliveOverride = aliveConfig(base), &override
		}
	}
	if d.via, err = m.resolveVia(conf, c, v, depth); err != nil {
		return nil, err
	}
	if d.via != nil { // of the way to it, the request wants to know as much
		d.via.verbose = max(d.via.verbose, d.verbose)
	}
	if err := d.setProxy(v); err != nil {
		return nil, err
	}
	if depth == 0 {
		d.private(c)
	}
	d.key = d.connectionKey()
	d.words, d.stamp = c.words(name), conf.Stamp()
	if d.via != nil {
		d.stamp += " " + d.via.stamp
	}
	return d, nil
}

func (m *Master) input(host string, c *commandLine, v *control.Invocation) sshconf.Input {
	in := sshconf.Input{Host: host, Options: c.settings, OwnFile: m.cfg.OwnFile, UserFile: m.cfg.UserFile, SystemFile: m.cfg.SystemFile,
		Home: m.cfg.Home, LocalUser: m.cfg.User, UID: os.Getuid(), Env: v.Getenv, LocalNetwork: localNetwork}
	in.SessionType, in.StdioForward, in.Lookup = c.sessionType, c.stdio != "" || c.isHop, c.lookup
	if c.run != nil {
		in.Exec = func(command string) (bool, error) {
			r, err := c.run(control.Command{Kind: control.CommandTest, Args: []string{command}})
			return r.Status == 0, err
		}
	}
	in.LocalHost, _ = os.Hostname()
	if in.UserFile == "" {
		in.UserFile = filepath.Join(m.cfg.Home, ".ssh", "config")
	}
	if in.OwnFile == "" {
		in.OwnFile = ownFile(m.cfg.Home, v)
	}
	if in.SystemFile == "" {
		in.SystemFile = "/etc/ssh/ssh_config"
	}
	in.ConfigFile = c.configFile
	if f := c.configFile; f != "" && !strings.EqualFold(f, "none") && !filepath.IsAbs(f) {
		in.ConfigFile = filepath.Join(v.Dir, f) // the client's directory, not ours
	}
	return in
}

// ownFile is muxd's own configuration file: where the client's
// XDG_CONFIG_HOME says, else below the home directory.
func ownFile(home string, v *control.Invocation) string {
	dir := v.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "muxd", "config")
}

// remembered are the answers of one evaluation's Match exec, for the second
// evaluation of the same request. No other request sees them.
type remembered map[string]bool

// remember has in's answers remembered.
func remember(in *sshconf.Input) remembered {
	answers := remembered{}
	if run := in.Exec; run != nil {
		in.Exec = func(command string) (bool, error) {
			ok, err := run(command)
			answers[command] = ok
			return ok, err
		}
	}
	return answers
}

// again answers as before. A command that was not run before is reached only
// by what the options of the command line changed, which are about keepalive.
func (a remembered) again(command string) (bool, error) { return a[command], nil }

// localNetwork answers Match localnetwork (readconf.c, check_match_ifaddrs).
func localNetwork(nets []netip.Prefix) (bool, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false, err
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue // no IP address
		}
		for _, n := range nets {
			if n.Contains(p.Addr().Unmap()) {
				return true, nil
			}
		}
	}
	return false, nil
}

// aliveConfig is what the configuration says about silence.
func aliveConfig(conf *sshconf.Config) alive.Config {
	interval, set := conf.ServerAliveInterval()
	count, _ := conf.ServerAliveCountMax()
	c := alive.Config{Interval: interval, CountMax: count, Set: set}
	if warm, said := conf.KeepWarm(); said {
		if c.Warm = warm; warm == 0 {
			c.Warm = alive.NoWarm
		}
	}
	return c
}

// withoutAlive returns the settings without those that hold for one request
// only, and whether there were any.
func withoutAlive(all []sshconf.Setting) ([]sshconf.Setting, bool) {
	var rest []sshconf.Setting
	for _, s := range all {
		if k := strings.ToLower(s.Keyword); k != "serveraliveinterval" && k != "serveralivecountmax" && k != "keepwarm" {
			rest = append(rest, s)
		}
	}
	return rest, len(rest) != len(all)
}
