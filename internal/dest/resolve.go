package dest

import (
	"bytes"
	"context"
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
func (r *Resolver) resolve(line *getopt.CommandLine, c *commandLine, v *control.Invocation) (*Destination, error) {
	host, err := c.destination(line.Destination)
	if err != nil {
		return nil, err
	}
	d, err := r.destination(line.Destination, host, c, v, strings.Join(line.Command, " "), 0)
	if err == nil {
		d.Again = r.resolveAgain(line, c, v)
	}
	return d, err
}

// resolveAgain is resolve for when the client is gone: what only it could run
// makes it fail. It is kept for as long as the host is, and so holds nothing of
// the client's: neither its connection nor its context, which has ended by then.
func (r *Resolver) resolveAgain(line *getopt.CommandLine, c *commandLine, v *control.Invocation) func() (*Destination, error) {
	kept := *c
	kept.run = func(control.Command) (control.Ran, error) { return control.Ran{}, control.ErrNobody }
	kept.lookup = func(network, name string) (string, bool, error) { return r.lookup(context.Background(), network, name) }
	return func() (*Destination, error) {
		own := kept
		own.settings = slices.Clone(kept.settings)
		return r.resolve(line, &own, v)
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
	if port != "" {
		c.set("Port", port)
	}
	return host, err
}

// printed is -G: the configuration as it applies to the destination. Nothing
// that it names is looked for, so that it works for hosts that do not.
func (r *Resolver) printed(line *getopt.CommandLine, c *commandLine, v *control.Invocation) (*control.Plan, error) {
	host, err := c.destination(line.Destination)
	if err != nil {
		return nil, err
	}
	in := r.input(host, c, v)
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
func (r *Resolver) destination(name, host string, c *commandLine, v *control.Invocation, command string, depth int) (*Destination, error) {
	in := r.input(host, c, v)
	in.Command = command
	answers := remember(&in)
	conf, err := sshconf.Resolve(in)
	if err != nil {
		return nil, err
	}
	d := &Destination{Name: name, User: conf.User(), Host: conf.HostName(), Port: conf.Port(), Conf: conf,
		Batch: conf.BatchMode(), Agent: conf.IdentityAgent().Socket, Alive: aliveConfig(conf), Verbose: verbosity(conf),
		Asked: time.Now(), Patience: patienceOf(conf, v.TTY[2] && !conf.Quiet() && !c.logs)}
	if err := getopt.ValidHost(d.Host); err != nil {
		return nil, err
	}
	if err := getopt.ValidUser(d.User); err != nil {
		return nil, err
	}
	if without, cut := withoutAlive(in.Options); cut {
		in.Options, in.Exec = without, answers.again
		if base, err := sshconf.Resolve(in); err == nil {
			override := d.Alive
			d.Alive, d.AliveOverride = aliveConfig(base), &override
		}
	}
	if d.Via, err = r.resolveVia(conf, c, v, depth); err != nil {
		return nil, err
	}
	if d.Via != nil { // of the way to it, the request wants to know as much
		d.Via.Verbose = max(d.Via.Verbose, d.Verbose)
	}
	if err := d.setProxy(v); err != nil {
		return nil, err
	}
	if depth == 0 {
		d.private(c)
	}
	d.Key = d.connectionKey()
	d.Words, d.Stamp = c.words(name), conf.Stamp()
	if d.Via != nil {
		d.Stamp += " " + d.Via.Stamp
	}
	return d, nil
}

func (r *Resolver) input(host string, c *commandLine, v *control.Invocation) sshconf.Input {
	in := sshconf.Input{Host: host, Options: c.settings, OwnFile: r.OwnFile, UserFile: r.UserFile, SystemFile: r.SystemFile,
		Home: r.Home, LocalUser: r.User, UID: os.Getuid(), Env: v.Getenv, LocalNetwork: localNetwork}
	in.SessionType, in.StdioForward, in.Lookup = c.sessionType, c.stdio != "" || c.isHop, c.lookup
	if c.run != nil {
		in.Exec = func(command string) (bool, error) {
			if prepares(command) {
				return false, nil
			}
			r, err := c.run(control.Command{Kind: control.CommandTest, Args: []string{command}})
			return r.Status == 0, err
		}
	}
	in.LocalHost, _ = os.Hostname()
	if in.UserFile == "" {
		in.UserFile = filepath.Join(r.Home, ".ssh", "config")
	}
	if in.OwnFile == "" {
		in.OwnFile = ownFile(r.Home, v)
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

// prepares reports a Match exec by which ssh has muxd serve its ControlPath. It
// says nothing to muxd, and would ask muxd again, without an end.
func prepares(command string) bool { return strings.Contains(command, " -O prepare ") }

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
