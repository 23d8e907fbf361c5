package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"muxd/control"
	"muxd/internal/child"
	"muxd/internal/launch"
	"muxd/internal/term"
	"muxd/socket"
)

// login has the running muxd log in to hosts ahead of their use, and asks the
// person at this terminal what that takes. One that fails does not keep it from
// the others.
func login(args []string) int {
	a, err := parseAbout(args, map[string]bool{configFlag: true})
	if err == nil {
		err = a.one()
	}
	if err != nil {
		return misused("login: " + err.Error())
	}
	var lines [][]string
	for _, host := range a.hosts {
		lines = append(lines, []string{"-N", "--", host})
	}
	if a.all {
		st, err := currentStatus()
		if err != nil {
			return complain(err)
		}
		for _, h := range st.Hosts {
			lines = append(lines, again(h))
		}
		if len(lines) == 0 {
			fmt.Println("muxd knows no host yet")
		}
	}
	code := 0
	for _, line := range lines {
		host := line[len(line)-1]
		if err := logIn(host, a.commandLine(line...)); err != nil {
			code = complain(err)
			if errors.Is(err, errInterrupted) {
				break // whoever says ^C means all of them
			}
			continue
		}
		fmt.Printf("%s: logged in\n", host)
	}
	return code
}

// again is the command line for a host that muxd knows. Its user and port may have
// stood on the command line of who asked for it, and not in the configuration.
func again(h control.HostStatus) []string {
	line := []string{"-N", "-l", h.User}
	if _, port, err := net.SplitHostPort(h.Addr); err == nil {
		line = append(line, "-p", port)
	}
	return append(line, "--", h.Name)
}

func currentStatus() (*control.Status, error) {
	st, err := getStatus()
	if errors.Is(err, socket.ErrNoServer) {
		return new(control.Status), nil
	}
	return st, err
}

func getStatus() (*control.Status, error) {
	return asking(connect, func(c *socket.Conn) (*control.Status, error) { return control.GetStatus(c, control.StatusRequest{}) })
}

// logIn holds a connection for a moment, which muxd then keeps by its own rules.
func logIn(host string, v *control.Invocation) error {
	for fd := range v.TTY {
		v.TTY[fd] = term.IsTerminal(fd)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	p := new(person)
	start := func() (*socket.Conn, error) {
		c, err := launch.Connect(false)
		if err != nil {
			err = fmt.Errorf("%s: %w", host, err)
		}
		return c, err
	}
	_, err := asking(start, func(c *socket.Conn) (control.Exit, error) {
		op, err := control.Run(c, v)
		if err != nil {
			return control.Exit{}, fmt.Errorf("%s: %w", host, err)
		}
		p.done = func() { op.Close() }
		defer context.AfterFunc(ctx, p.done)()
		return op.Wait(p)
	})
	switch {
	case p.opened:
		return nil
	case ctx.Err() != nil || p.interrupted.Load():
		return fmt.Errorf("%s: %w", host, errInterrupted)
	}
	return err
}

var errInterrupted = errors.New("interrupted")

// person is the control.Handler of a login: whoever is at this terminal.
type person struct {
	done        func()
	opened      bool
	interrupted atomic.Bool // at a question, which has a goroutine of its own
}

// Opened implements control.Handler: the connection is there, which is all that
// was wanted.
func (p *person) Opened(*control.Plan) { p.opened = true; p.done() }

// Prompt implements control.Prompter.
func (p *person) Prompt(ctx context.Context, q control.Prompt) (control.Answer, error) {
	b, err := term.Ask(ctx, term.Question{Prompt: q.Phrased(), Echo: q.Kind != control.PromptSecret})
	switch {
	case errors.Is(err, term.ErrInterrupted):
		p.interrupted.Store(true)
		return control.Answer{}, control.ErrInterrupted
	case err != nil:
		return control.Answer{}, control.ErrNobody
	}
	a := control.Answer{Text: string(b)}
	clear(b)
	return a, nil
}

// Run implements control.Prompter.
func (p *person) Run(ctx context.Context, c control.Command) (control.Ran, error) {
	return child.Run(ctx, c)
}

// Notice implements control.Prompter.
func (p *person) Notice(text string) { fmt.Fprintln(os.Stderr, text) }

// Stdout implements control.Handler.
func (p *person) Stdout([]byte) error { return nil }

// Stderr implements control.Handler.
func (p *person) Stderr([]byte) error { return nil }

// StdoutEOF implements control.Handler.
func (p *person) StdoutEOF() {}

// Waiting implements control.Prompter.
func (*person) Waiting(control.Waiting) {}

// Impatient implements control.Prompter.
func (*person) Impatient() <-chan struct{} { return nil }
