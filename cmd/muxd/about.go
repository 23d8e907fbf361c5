package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"muxd/control"
	"muxd/internal/child"
	"muxd/socket"
)

// about is what the words of a command come to: the hosts, or all of them, and
// its flags.
type about struct {
	hosts []string
	all   bool
	flags map[string]string // those that were given; "" for one without a value
}

// configFlag names the ssh_config that says what hosts mean, as ssh's -F does: a
// host that muxc was given with one is another destination without it.
const configFlag = "-F"

// parseAbout takes a command's words. flags names those it knows, each with
// whether it has a value, which may be the next word or follow a "=".
func parseAbout(args []string, flags map[string]bool) (about, error) {
	a, err := parseWords(args, flags)
	if err == nil && slices.Contains(a.hosts, "") { // which stands for all of them further on
		err = errors.New("a host is an empty word: a variable without a value?")
	}
	return a, err
}

func parseWords(args []string, flags map[string]bool) (about, error) {
	a := about{flags: map[string]string{}}
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		takes, known := flags[name]
		switch {
		case args[i] == "--":
			a.hosts = append(a.hosts, args[i+1:]...)
			return a, nil
		case args[i] == "--all":
			a.all = true
		case !strings.HasPrefix(args[i], "-"):
			a.hosts = append(a.hosts, args[i])
		case !known || joined && !takes:
			return a, fmt.Errorf("unknown argument %q", args[i])
		case takes && !joined && i+1 == len(args):
			return a, fmt.Errorf("%s: a value is missing", name)
		case takes && !joined:
			i++
			a.flags[name] = args[i]
		default:
			a.flags[name] = value
		}
	}
	return a, nil
}

// one fails unless the words name hosts or all, and not both.
func (a about) one() error {
	if a.all == (len(a.hosts) > 0) {
		return errors.New("name a host, or --all")
	}
	return nil
}

func (a about) has(flag string) bool {
	_, ok := a.flags[flag]
	return ok
}

// invocation asks what ssh_config means by a host, to this user in this
// directory, and has nothing done. It is nil for "": all of them.
func (a about) invocation(host string) *control.Invocation {
	if host == "" {
		return nil
	}
	return a.commandLine("-O", "check", "--", host)
}

// commandLine is one of muxc's, with the configuration that the words named.
func (a about) commandLine(args ...string) *control.Invocation {
	if a.has(configFlag) {
		args = append([]string{configFlag, a.flags[configFlag]}, args...)
	}
	v := &control.Invocation{Args: args, Env: os.Environ()}
	v.Dir, _ = os.Getwd()
	return v
}

// reply is what a request came to: its status, and what it had to say.
type reply struct {
	code int
	said string
}

// ask carries out a request about one host, or about all where v is nil.
func ask(c *socket.Conn, r *control.AdminRequest, v *control.Invocation) (reply, error) {
	op, err := control.Admin(c, r, v)
	if err != nil {
		return reply{}, err
	}
	l := new(listener)
	exit, err := op.Wait(l)
	return reply{int(exit.Code), l.said.String()}, err
}

// listener is the control.Handler of a request at which nobody is asked
// anything: it may stand in a script, or run in the background for days. Only
// what the configuration runs (Match exec) is run.
type listener struct{ said strings.Builder }

// Prompt implements control.Prompter.
func (*listener) Prompt(context.Context, control.Prompt) (control.Answer, error) {
	return control.Answer{}, control.ErrNobody
}

// Run implements control.Prompter.
func (*listener) Run(ctx context.Context, c control.Command) (control.Ran, error) {
	return child.Run(ctx, c)
}

// Notice implements control.Prompter. It is called by Op.Wait alone.
func (l *listener) Notice(text string) {
	l.said.WriteString(text)
	if !strings.HasSuffix(text, "\n") {
		l.said.WriteByte('\n')
	}
}

// Opened implements control.Handler.
func (*listener) Opened(*control.Plan) {}

// Stdout implements control.Handler.
func (*listener) Stdout([]byte) error { return nil }

// Stderr implements control.Handler.
func (*listener) Stderr([]byte) error { return nil }

// StdoutEOF implements control.Handler.
func (*listener) StdoutEOF() {}

// Waiting implements control.Prompter.
func (*listener) Waiting(control.Waiting) {}

// Impatient implements control.Prompter.
func (*listener) Impatient() <-chan struct{} { return nil }
