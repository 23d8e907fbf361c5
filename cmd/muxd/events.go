package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"muxd/control"
	"muxd/socket"
)

// events prints what changes at one host or at all, until it is interrupted,
// muxd ends or nobody reads any more. Each line is written as it comes. What
// happened before comes first, where that is asked for, and may be all.
func events(args []string) int {
	a, err := parseAbout(args, map[string]bool{"--json": false, "--since": true, "--no-follow": false, configFlag: true})
	r := new(control.EventsRequest)
	switch {
	case err != nil:
	case len(a.hosts) > 1:
		err = errors.New("name one host, or none for all of them")
	case a.has("--since"):
		r.Since, err = timeOf("--since", a.flags["--since"])
	case a.has("--no-follow"):
		err = errors.New("--no-follow needs --since: what did not happen yet has to be waited for")
	}
	r.Only = a.has("--no-follow")
	if err != nil {
		return misused("events: " + err.Error())
	}
	var v *control.Invocation
	if len(a.hosts) == 1 {
		v = a.invocation(a.hosts[0])
	}
	_, err = asking(connect, func(c *socket.Conn) (control.Exit, error) {
		op, err := control.Events(c, r, v, func(e control.Event) error { return printEvent(os.Stdout, e, a.has("--json")) })
		if err != nil {
			return control.Exit{}, err
		}
		return op.Wait(new(listener))
	})
	switch {
	case errors.Is(err, socket.ErrNoServer):
		return complain(errNotRunning)
	case err == nil, errors.Is(err, syscall.EPIPE): // where SIGPIPE is ignored
		return 0
	}
	return complain(err)
}

// printEvent writes one line, at once.
func printEvent(w io.Writer, e control.Event, asJSON bool) error {
	line := eventLine(e)
	if asJSON {
		b, err := json.Marshal(newEventJSON(e))
		if err != nil {
			return err
		}
		line = string(b)
	}
	_, err := io.WriteString(w, line+"\n")
	return err
}

// eventLine is an event for people: when, about what, which host, what.
func eventLine(e control.Event) string {
	host := e.Host
	if host == "" {
		host = "-"
	}
	return fmt.Sprintf("%s  %-7s  %-16s  %s", e.Time.Local().Format("2006-01-02 15:04:05"), e.Kind, host, eventText(e))
}

func eventText(e control.Event) string {
	var what []string
	add := func(format string, args ...any) { what = append(what, fmt.Sprintf(format, args...)) }
	change := e.To
	if e.From != "" {
		change = e.From + " -> " + e.To
	}
	switch {
	case e.Kind == control.EventLost && e.Text == "":
		add("%s events were not told: this reader is too slow", e.To)
	case e.Kind == control.EventLost:
		add("%s events were not told", e.To)
	case e.Kind == control.EventDial:
		add("attempt %d failed", e.Attempt)
	case e.Kind == control.EventForward: // which one, before what of it
		return e.Text + " " + change
	case e.Kind == control.EventLink:
		add("connection %d %s", e.Link, change)
	case change != "":
		add("%s", change)
	}
	if e.Silence > 0 {
		add("no byte for %v", e.Silence.Round(time.Second))
	}
	if e.Text != "" {
		add("%s", e.Text)
	}
	return strings.Join(what, ", ")
}

// eventSchema is the version of the objects of muxd events --json. It rises
// when a field changes its meaning or goes away; new fields may come without.
// docs/events-json.md describes the fields.
const eventSchema = 1

type eventJSON struct {
	Schema    int       `json:"schema"`
	Time      time.Time `json:"time"`
	Kind      string    `json:"kind"`
	Host      string    `json:"host,omitempty"`
	User      string    `json:"user,omitempty"`
	Addr      string    `json:"addr,omitempty"`
	Link      int       `json:"link,omitempty"`
	From      string    `json:"from,omitempty"`
	To        string    `json:"to,omitempty"`
	Attempt   int       `json:"attempt,omitempty"`
	SilenceMS int64     `json:"silence_ms,omitempty"`
	Text      string    `json:"text,omitempty"`
}

func newEventJSON(e control.Event) eventJSON {
	return eventJSON{Schema: eventSchema, Time: e.Time.UTC(), Kind: string(e.Kind), Host: e.Host, User: e.User, Addr: e.Addr,
		Link: e.Link, From: e.From, To: e.To, Attempt: e.Attempt, SilenceMS: e.Silence.Milliseconds(), Text: e.Text}
}
