package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"muxd/control"
	"muxd/internal/launch"
	"muxd/internal/term"
	"muxd/socket"
)

// errNotRunning: what is asked about a muxd that does not run has no answer.
var errNotRunning = errors.New("muxd is not running")

// manage has the running muxd do something about hosts, or all of them. One at
// which that fails does not keep it from the others.
func manage(command string, args []string) int {
	flags := map[string]bool{configFlag: true}
	if command == "reconnect" {
		flags["--forget"] = false
	}
	a, err := parseAbout(args, flags)
	if err == nil {
		err = a.one()
	}
	if err != nil {
		return misused(command + ": " + err.Error())
	}
	hosts := a.hosts
	if a.all {
		hosts = []string{""}
	}
	code := 0
	for _, host := range hosts {
		r := &control.AdminRequest{Command: command, Forget: a.has("--forget")}
		n, err := managed(os.Stdout, r, a.invocation(host))
		if err != nil {
			n = complain(err)
		}
		if code = max(code, n); errors.Is(err, errNotRunning) || errors.Is(err, control.ErrSilent) {
			break // for every one of them
		}
	}
	return code
}

// managed is one request to the running muxd. What it says about a success is
// for stdout, and why there was none for stderr.
func managed(stdout io.Writer, r *control.AdminRequest, v *control.Invocation) (code int, err error) {
	a, err := asking(connect, func(c *socket.Conn) (reply, error) { return ask(c, r, v) })
	if errors.Is(err, socket.ErrNoServer) {
		err = errNotRunning
	}
	if a.code != 0 || err != nil {
		stdout = os.Stderr
	}
	io.WriteString(stdout, a.said)
	return a.code, err
}

// wait returns once a host's connection is there, or gone.
func wait(args []string) int {
	a, err := parseAbout(args, map[string]bool{"--for": true, "--timeout": true, configFlag: true})
	r := &control.AdminRequest{Command: "wait", Down: a.flags["--for"] == "down"}
	switch {
	case err != nil:
	case len(a.hosts) != 1 || a.all:
		err = errors.New("name one host")
	case a.has("--for") && a.flags["--for"] != "ready" && !r.Down:
		err = fmt.Errorf("--for %q: it is ready or down", a.flags["--for"])
	case a.has("--timeout"):
		r.Limit, err = timeOf("--timeout", a.flags["--timeout"])
	}
	if err != nil {
		return misused("wait: " + err.Error())
	}
	return waitFor(r, a.hosts[0], a.invocation(a.hosts[0]))
}

// timeOf is a flag's duration, or number of seconds as everywhere in ssh.
func timeOf(flag, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if n, nerr := strconv.Atoi(text); nerr == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < time.Millisecond {
		return 0, fmt.Errorf("%s %q is no time", flag, text)
	}
	return d, nil
}

// waitFor starts a muxd where a connection is wanted and none runs: that
// somebody waits for it makes it wanted. A muxd that does not run, or ends, has
// no connection.
func waitFor(r *control.AdminRequest, host string, v *control.Invocation) int {
	what := map[bool]string{false: "ready", true: "down"}[r.Down]
	if term.IsTerminal(2) {
		told := time.AfterFunc(time.Second, func() {
			fmt.Fprintf(os.Stderr, "muxd: %s: waiting until it is %s (^C ends)\n", host, what)
		})
		defer told.Stop()
	}
	connect := func() (*socket.Conn, error) {
		c, err := launch.Connect(r.Down)
		if err != nil {
			err = fmt.Errorf("%s: %w", host, err)
		}
		return c, err
	}
	a, err := asking(connect, func(c *socket.Conn) (reply, error) { return askWithin(c, r, v) })
	if r.Down && (errors.Is(err, socket.ErrNoServer) || errors.Is(err, control.ErrGone) || errors.Is(err, control.ErrNotTaken)) {
		return 0
	}
	if err != nil {
		return complain(err)
	}
	if a.code != 0 && a.said == "" {
		a.said = fmt.Sprintf("muxd: %s: not %s within %v\n", host, what, r.Limit)
	}
	os.Stderr.WriteString(a.said)
	return a.code
}

// late is what a muxd may take to say that the time is up: one that is stopped, or
// stuck, never does.
const late = 2 * time.Second

// askWithin is ask, and ends with the request's limit whatever muxd does.
func askWithin(c *socket.Conn, r *control.AdminRequest, v *control.Invocation) (reply, error) {
	if r.Limit == 0 {
		return ask(c, r, v)
	}
	type answer struct {
		reply
		err error
	}
	done := make(chan answer, 1) // whose reader may have gone
	go func() {
		a, err := ask(c, r, v)
		done <- answer{a, err}
	}()
	over := time.NewTimer(max(r.Limit, r.Limit+late)) // the sum of the longest ones is below zero
	defer over.Stop()
	select {
	case a := <-done:
		return a.reply, a.err
	case <-over.C:
		return reply{}, control.ErrSilent
	}
}
