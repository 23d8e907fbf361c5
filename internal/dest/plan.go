package dest

import (
	"context"
	"errors"
	"strings"

	"muxd/control"
	"muxd/internal/getopt"
	"muxd/internal/sshconf"
)

// gone stands for the working directory of a client whose directory was removed.
// Nothing is below it and nothing can be made there, as for the client; without
// it a relative path would be one in muxd's directory, which is /.
const gone = "/dev/null/(deleted)"

// Resolve says what ssh would do with this command line, asking p, which may
// not be nil, to run what the configuration wants run. Its errors are
// control.Errors about what was typed, in the phase NotDialled.
func (r *Resolver) Resolve(ctx context.Context, v *control.Invocation, p control.Prompter) (*control.Plan, error) {
	line, err := getopt.ParseSSH(v.Args)
	if err != nil {
		return nil, &control.Error{Phase: control.NotDialled, Text: err.Error()}
	}
	if v.Dir == "" {
		w := *v
		w.Dir = gone
		v = &w
	}
	plan, err := r.plan(ctx, line, v, p)
	if err != nil {
		return nil, failure(line.Destination, err)
	}
	return plan, nil
}

// failure makes err a control.Error about host, unless it is one already.
func failure(host string, err error) error {
	own := control.Error{Phase: control.NotDialled, Text: err.Error()}
	var e *control.Error
	var bad *sshconf.Error
	switch {
	case errors.As(err, &e):
		own = *e
	case errors.As(err, &bad):
		own.Text = strings.Join(bad.Lines, "; ") // ssh's lines, in one
	}
	own.Host = host
	return &own
}

func (r *Resolver) plan(ctx context.Context, line *getopt.CommandLine, v *control.Invocation, p control.Prompter) (*control.Plan, error) {
	if n := len(line.Options); n > 0 && line.Options[n-1].Name == 'Q' {
		return query(line.Options[n-1].Value)
	}
	c, err := r.sortOptions(line, v)
	if err != nil {
		return nil, err
	}
	for _, text := range c.remarks {
		p.Notice(text)
	}
	c.run = func(cmd control.Command) (control.Ran, error) { return p.Run(ctx, cmd) }
	c.lookup = func(network, name string) (string, bool, error) { return r.lookup(ctx, network, name) }
	if c.print {
		return r.printed(line, c, v)
	}
	d, err := r.resolve(line, c, v)
	if err != nil {
		return nil, err
	}
	if c.refused != nil {
		return nil, c.refused
	}
	plan := &control.Plan{Host: d.Name, Dest: d, Escape: control.NoEscape, Quiet: d.Conf.Quiet(), StdinNull: d.Conf.StdinNull(),
		JSON: d.Conf.ErrorFormat() == "json"}
	if plan.HandOver, err = r.elsewhere(ctx, c, d, v); plan.HandOver != nil || err != nil {
		return plan, err
	}
	tellIgnored(d, p)
	if c.control == "prepare" {
		r.prepare(plan, line, d, v)
		return plan, nil
	}
	if c.control != "" && c.control != "proxy" {
		plan.Manage = &control.ManageRequest{Dest: d, Command: c.control}
		if c.controlPath {
			plan.Manage.Path = controlPath(d.Conf, v)
		}
		if c.control == "forward" || c.control == "cancel" {
			plan.Manage.Forward = d.forwards(v, c.typed())
		}
		return plan, nil
	}
	tellMissing(d.Conf, v, p, d.Name)
	plan.Listen = d.listens(c, v)
	if plan.Serves = plan.Listen != nil; !plan.Serves {
		plan.Listen = r.standing(d, v)
	}
	return plan, open(plan, line, c, d, v, p)
}

// open fills in what the plan opens: a session, a stdio forward, or nothing but
// the connection.
func open(plan *control.Plan, line *getopt.CommandLine, c *commandLine, d *Destination, v *control.Invocation, p control.Prompter) error {
	plan.Background = d.Conf.ForkAfterAuthentication()
	plan.StdinNull = plan.StdinNull || plan.Background
	plan.Forward = d.forwards(v, every)
	switch {
	case c.stdio != "":
		plan.FdPass = d.Conf.FdPass() == sshconf.Yes
		f, err := sshconf.ParseStdioForward(c.stdio, v.Getenv)
		plan.Direct = &control.DirectRequest{Dest: d, Host: f.ListenHost, Port: f.ListenPort, Path: f.ListenPath, PID: v.PID, Bytes: new(control.Meter)}
		return err
	case d.Conf.SessionType() == "none":
		plan.Mute = true
		if plan.Background && plan.Forward != nil && d.Alone == "" && plan.Listen == nil {
			// What is left to do is muxd's: no process is needed for it, and none
			// whose end would take the forwards along. On a connection of one's own
			// the process is what there is to end them by.
			plan.Forward.Sticky, plan.Detach, plan.Background = true, true, false
			return nil
		}
		if plan.Forward != nil {
			plan.Forward.Told = true
		}
		plan.Hold, plan.StdinNull = &control.HoldRequest{Dest: d, PID: v.PID}, true
		return nil
	}
	var r *control.SessionRequest
	var err error
	if v.Reattach {
		r, err = reattachRequest(d, v)
	} else if r, err = sessionRequest(line, d, v); err == nil {
		r.TTY = wantTTY(r, d.Conf, v, p)
	}
	if err != nil {
		return err
	}
	plan.Session = r
	if plan.TTY = r.TTY != nil; plan.TTY {
		plan.Escape = d.Conf.EscapeChar()
		plan.Reattach = d.Conf.Reattach() != "" && !plan.Background
	}
	return nil
}

// reattachRequest is the session that follows one on a terminal that was lost:
// the command of Reattach, and nothing of what the command line asked to run.
func reattachRequest(d *Destination, v *control.Invocation) (*control.SessionRequest, error) {
	command := unquoted(d.Conf.Reattach())
	if command == "" { // the configuration has changed
		return nil, errors.New("the session cannot be carried on: no Reattach is set any more")
	}
	return &control.SessionRequest{Dest: d, Kind: control.Exec, Command: command, TTY: terminal(d.Conf, v), PID: v.PID,
		Env: environment(d.Conf, v), Bytes: new(control.Meter), Agent: agentOf(d.Conf), X11: displayOf(d.Conf, v)}, nil
}

// sessionRequest is the session that the command line asks for.
func sessionRequest(line *getopt.CommandLine, d *Destination, v *control.Invocation) (*control.SessionRequest, error) {
	r := &control.SessionRequest{Dest: d, Kind: control.Shell, PID: v.PID, Env: environment(d.Conf, v), Bytes: new(control.Meter),
		Agent: agentOf(d.Conf), X11: displayOf(d.Conf, v)}
	r.Command = strings.Join(line.Command, " ")
	remote := d.Conf.RemoteCommand()
	switch {
	case remote != "" && r.Command != "":
		return nil, errors.New("cannot execute command-line and remote command")
	case remote != "":
		r.Command = remote
	}
	switch {
	case d.Conf.SessionType() == "subsystem":
		if r.Command == "" {
			return nil, errors.New("you must specify a subsystem to invoke")
		}
		r.Kind = control.Subsystem
	case r.Command != "":
		r.Kind = control.Exec
	}
	return r, nil
}

// agentOf is the socket of the agent that sessions forward, "" for none. That of
// IdentityAgent is the one that ForwardAgent yes means, as in ssh, which puts it
// into its own environment (ssh.c, main).
func agentOf(conf *sshconf.Config) string {
	on, agent := conf.ForwardAgent()
	switch {
	case !on:
		return ""
	case agent.Kind == sshconf.AgentDefault:
		return conf.IdentityAgent().Socket
	}
	return agent.Socket
}

// displayOf is the display that a session forwards, nil for none: also where
// the client has none, as in ssh (clientloop.c, client_x11_get_proto).
func displayOf(conf *sshconf.Config, v *control.Invocation) *control.X11Request {
	display := v.Getenv("DISPLAY")
	if !conf.ForwardX11() || display == "" {
		return nil
	}
	return &control.X11Request{Display: display, Trusted: conf.ForwardX11Trusted(), Timeout: conf.ForwardX11Timeout(), XAuth: conf.XAuthLocation()}
}

// unquoted takes the quotes off a command that is quoted as a whole: a shell
// would look for a program of that name, which nobody means.
func unquoted(command string) string {
	if n := len(command); n > 1 && command[0] == '"' && strings.IndexByte(command[1:], '"') == n-2 {
		return command[1 : n-1]
	}
	return command
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
		if conf.Informs() {
			p.Notice("Pseudo-terminal will not be allocated because stdin is not a terminal.")
		}
		return nil
	}
	return terminal(conf, v)
}

// terminal is the client's, as it is asked for on the other side.
func terminal(conf *sshconf.Config, v *control.Invocation) *control.TTY {
	t := &control.TTY{Term: v.Getenv("TERM"), Size: v.Size, Modes: v.Modes}
	for _, kv := range conf.SetEnv() {
		if term, ok := strings.CutPrefix(kv, "TERM="); ok {
			t.Term = term
		}
	}
	return t
}
