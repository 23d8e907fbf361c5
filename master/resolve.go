package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/getopt"
	"muxd/internal/sshconf"
)

// Resolve implements control.Backend: what would ssh do with this command line?
func (m *Master) Resolve(_ context.Context, v *control.Invocation, p control.Prompter) (*control.Plan, error) {
	if p == nil {
		p = nobody{}
	}
	line, err := getopt.ParseSSH(v.Args)
	if err != nil {
		return nil, &control.Error{Phase: control.NotDialled, Text: err.Error()}
	}
	plan, err := m.plan(line, v, p)
	if err != nil {
		return nil, asControl(line.Destination, control.NotDialled, err)
	}
	return plan, nil
}

func (m *Master) plan(line *getopt.CommandLine, v *control.Invocation, p control.Prompter) (*control.Plan, error) {
	c, err := sortOptions(line, v.Dir)
	if err != nil {
		return nil, err
	}
	d, err := m.resolve(line, c, v)
	if err != nil {
		return nil, err
	}
	if err := carriedOut(d.conf); err != nil {
		return nil, err
	}
	if c.verbose > 0 {
		p.Notice(fmt.Sprintf("debug1: %s is %s@%s, connection %.12s", d.name, d.user, d.addr(), d.key))
	}
	plan := &control.Plan{Host: d.name, Escape: control.NoEscape, Quiet: quiet(d.conf), StdinNull: d.conf.StdinNull()}
	if c.control != "" {
		plan.Manage = &control.ManageRequest{Dest: d, Command: c.control}
		return plan, nil
	}
	tellMissing(d.conf, v, p, d.name)
	r, err := sessionRequest(line, c, d, v)
	if err != nil {
		return nil, err
	}
	r.TTY = wantTTY(r, d.conf, v, p)
	plan.Session = r
	if plan.TTY = r.TTY != nil; plan.TTY {
		plan.Escape = d.conf.EscapeChar()
	}
	return plan, nil
}

// resolve finds the destination by the command line and the configuration.
func (m *Master) resolve(line *getopt.CommandLine, c *commandLine, v *control.Invocation) (*destination, error) {
	user, host, port, err := getopt.SplitDestination(line.Destination)
	if err != nil {
		return nil, err
	}
	// ssh gives user@ and a port in the URI the place they have on the command
	// line: after the options, before the configuration.
	if user != "" {
		c.set("User", user)
	}
	if port != 0 {
		c.set("Port", fmt.Sprint(port))
	}
	return m.destination(line.Destination, host, c, v, strings.Join(line.Command, " "), 0)
}

// destination resolves one host, a jump host at some depth of a chain or, at 0,
// the one that was asked for.
func (m *Master) destination(name, host string, c *commandLine, v *control.Invocation, command string, depth int) (*destination, error) {
	in := m.input(host, c, v)
	in.Command = command
	conf, err := sshconf.Resolve(in)
	if err != nil {
		return nil, err
	}
	d := &destination{name: name, user: conf.User(), host: conf.HostName(), port: conf.Port(), conf: conf,
		batch: conf.BatchMode(), agent: conf.IdentityAgent().Socket, alive: aliveConfig(conf)}
	if err := getopt.ValidHost(d.host); err != nil {
		return nil, err
	}
	if err := getopt.ValidUser(d.user); err != nil {
		return nil, err
	}
	if without, cut := withoutAlive(in.Options); cut {
		in.Options = without
		if base, err := sshconf.Resolve(in); err == nil {
			override := d.alive
			d.alive, d.aliveOverride = aliveConfig(base), &override
		}
	}
	if d.via, err = m.resolveVia(conf, c, v, depth); err != nil {
		return nil, err
	}
	if err := d.setProxy(v); err != nil {
		return nil, err
	}
	d.key = d.connectionKey()
	return d, nil
}

func (m *Master) input(host string, c *commandLine, v *control.Invocation) sshconf.Input {
	in := sshconf.Input{Host: host, Options: c.settings, OwnFile: m.cfg.OwnFile, UserFile: m.cfg.UserFile, SystemFile: m.cfg.SystemFile,
		Home: m.cfg.Home, LocalUser: m.cfg.User, UID: os.Getuid(), Env: v.Getenv, LocalNetwork: localNetwork}
	if c.subsystem {
		in.SessionType = "subsystem"
	}
	in.LocalHost, _ = os.Hostname()
	if in.UserFile == "" {
		in.UserFile = filepath.Join(m.cfg.Home, ".ssh", "config")
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
	return alive.Config{Interval: interval, CountMax: count, Set: set}
}

// withoutAlive returns the settings without those that hold for one request
// only, and whether there were any.
func withoutAlive(all []sshconf.Setting) ([]sshconf.Setting, bool) {
	var rest []sshconf.Setting
	for _, s := range all {
		if k := strings.ToLower(s.Keyword); k != "serveraliveinterval" && k != "serveralivecountmax" {
			rest = append(rest, s)
		}
	}
	return rest, len(rest) != len(all)
}

// quiet reports a log level that leaves out errors.
func quiet(conf *sshconf.Config) bool {
	switch conf.LogLevel() {
	case "QUIET", "FATAL":
		return true
	}
	return false
}

// informs reports a log level that shows remarks (log.h, SYSLOG_LEVEL_INFO).
func informs(conf *sshconf.Config) bool { return !quiet(conf) && conf.LogLevel() != "ERROR" }

// sessionRequest is the session that the command line asks for.
func sessionRequest(line *getopt.CommandLine, c *commandLine, d *destination, v *control.Invocation) (*control.SessionRequest, error) {
	r := &control.SessionRequest{Dest: d, Kind: control.Shell, PID: v.PID, Env: environment(d.conf, v), Bytes: new(control.Meter)}
	r.Command = strings.Join(line.Command, " ")
	remote := d.conf.RemoteCommand()
	switch {
	case remote != "" && r.Command != "":
		return nil, errors.New("cannot execute command-line and remote command")
	case remote != "":
		r.Command = remote
	}
	switch {
	case c.subsystem || d.conf.SessionType() == "subsystem":
		if r.Command == "" {
			return nil, errors.New("you must specify a subsystem to invoke")
		}
		r.Kind = control.Subsystem
	case r.Command != "":
		r.Kind = control.Exec
	}
	return r, nil
}

// environment is what SendEnv lets through of the client's environment, then
// SetEnv, as ssh sends it.
func environment(conf *sshconf.Config, v *control.Invocation) []string {
	var env []string
	for _, kv := range v.Env {
		name, _, ok := strings.Cut(kv, "=")
		if ok && conf.Sends(name) {
			env = append(env, kv)
		}
	}
	return append(env, conf.SetEnv()...)
}

// wantTTY decides about a terminal by ssh's rules (ssh.c, main): a shell gets
// one, a command does not, RequestTTY and -t change that, and without a
// terminal on stdin only force gets one.
func wantTTY(r *control.SessionRequest, conf *sshconf.Config, v *control.Invocation, p control.Prompter) *control.TTY {
	request := conf.RequestTTY()
	want := r.Command == "" || request == "yes" || request == "force"
	if !want || request == "no" {
		return nil
	}
	if (!v.TTY[0] || conf.StdinNull()) && request != "force" {
		if informs(conf) {
			p.Notice("Pseudo-terminal will not be allocated because stdin is not a terminal.")
		}
		return nil
	}
	t := &control.TTY{Term: v.Getenv("TERM"), Size: v.Size, Modes: v.Modes}
	for _, kv := range conf.SetEnv() {
		if term, ok := strings.CutPrefix(kv, "TERM="); ok {
			t.Term = term
		}
	}
	return t
}
