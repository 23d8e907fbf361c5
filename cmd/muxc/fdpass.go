package main

import (
	"errors"
	"strings"

	"muxd/control"
	"muxd/internal/getopt"
	"muxd/socket"
)

// option is the value of a keyword that -o sets on the command line: the first
// one, as for every keyword of ssh. It is what of the configuration can be known
// before muxd has read it, and so stands above all that muxd reads.
func option(line *getopt.CommandLine, keyword string) string {
	for _, o := range line.Options {
		if o.Name != 'o' {
			continue
		}
		text := strings.TrimLeft(o.Value, " \t")
		if n := strings.IndexAny(text, " \t="); n >= 0 && strings.EqualFold(text[:n], keyword) {
			value := strings.TrimLeft(text[n:], " \t")
			value = strings.TrimSpace(strings.TrimPrefix(value, "="))
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// wantsFdPass reports -o FdPass=yes: a pair of sockets has to go with the
// request, before anybody knows whether muxd finds the same.
func wantsFdPass(line *getopt.CommandLine) bool {
	v := option(line, "FdPass")
	return strings.EqualFold(v, "yes") || strings.EqualFold(v, "true")
}

// errNoSocket is told before anything is asked of anybody.
var errNoSocket = errors.New("FdPass: standard output is no socket: it is for ssh -o ProxyUseFdpass=yes")

// request sends the request, with one end of a new pair of sockets where the
// other one is to be passed on.
func (u *ui) request(c *socket.Conn, inv *control.Invocation) (*control.Op, error) {
	if !u.passes {
		return control.Run(c, inv)
	}
	ours, theirs, err := socket.Pair()
	if err != nil {
		return nil, err
	}
	u.dropPair() // of an attempt that nobody took
	u.pair = ours
	defer theirs.Close() // muxd has it, and is to be alone with it
	return control.RunOn(c, inv, int(theirs.Fd()))
}

func (u *ui) dropPair() {
	if u.pair != nil {
		u.pair.Close()
	}
}

// passOn gives the connection to whoever waits for it on standard output. The
// operation ends by itself behind Opened, and this process with it.
func (u *ui) passOn(p *control.Plan) {
	err := errors.New("muxd did not find FdPass in the command line")
	if p.FdPass && u.pair != nil {
		err = socket.Pass(1, int(u.pair.Fd()))
	}
	if err != nil {
		u.leave(u.line(failure{phase: control.Refused, host: u.dest, text: "passing the connection on: " + err.Error()}), exitFailed)
	}
}
