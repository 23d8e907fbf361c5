package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"muxd/control"
	"muxd/internal/getopt"
	"muxd/socket"
)

// failure is why an operation failed, for a person or for a program.
type failure struct {
	phase   control.ErrorPhase
	host    string // as typed; "" where it is about none
	silence time.Duration
	text    string // without the host
}

// fail says why the request failed: one line.
func (u *ui) fail(err error) {
	if u.op != nil && u.op.Plan().Quiet {
		return
	}
	u.say(u.line(u.failure(err)), "\n")
}

// line is how a failure is told.
func (u *ui) line(f failure) string {
	if u.json || u.op != nil && u.op.Plan().JSON {
		return f.json()
	}
	if f.host != "" {
		return "muxc: " + f.host + ": " + f.text
	}
	return "muxc: " + f.text
}

// failure gives every error a phase. Nothing was begun where muxd did not take
// the request; where it went away after that, the command may have run.
func (u *ui) failure(err error) failure {
	f := failure{phase: control.NotDialled, host: u.dest, text: err.Error()}
	pid := "(pid " + strconv.Itoa(u.pid) + ")"
	var e *control.Error
	switch {
	case errors.As(err, &e):
		f.phase, f.silence = e.Phase, e.Silence
		if f.text = e.Text; e.Host != "" {
			f.host = e.Host
		}
	case errors.Is(err, control.ErrGone):
		f.phase, f.text = control.Sent, "muxd "+pid+" went away; the command may have run"
		if u.isOpen() {
			f.phase, f.text = control.Running, "muxd "+pid+" went away; the command may still be running"
		}
	case errors.Is(err, control.ErrSilent), errors.Is(err, control.ErrNotTaken):
		f.text = strings.Replace(f.text, "muxd", "muxd "+pid, 1)
	case errors.Is(err, socket.ErrNoServer):
		f.text = "no connection: muxd is not running"
	case u.isOpen():
		f.phase = control.Running
	}
	return f
}

// prefix is the destination before a line about it; -Q has none.
func (u *ui) prefix() string {
	if u.dest == "" {
		return ""
	}
	return u.dest + ": "
}

// errorSchema is the version of the objects below. It rises when a field
// changes its meaning or goes away. docs/errors-json.md describes the fields.
const errorSchema = 1

// json is the failure as one object on one line. It is written by hand:
// encoding/json would cost every command its start.
func (f failure) json() string {
	b := append([]byte(nil), `{"schema":`...)
	b = strconv.AppendInt(b, errorSchema, 10)
	b = append(b, `,"host":`...)
	b = appendQuoted(b, f.host)
	b = append(b, `,"phase":`...)
	b = appendQuoted(b, f.phase.String())
	b = append(b, `,"may_have_run":`...)
	b = strconv.AppendBool(b, f.phase.MayHaveRun())
	b = append(b, `,"silence_ms":`...)
	b = strconv.AppendInt(b, f.silence.Milliseconds(), 10)
	b = append(b, `,"error":`...)
	return string(append(appendQuoted(b, f.text), '}'))
}

// appendQuoted appends s as a JSON string (RFC 8259 section 7). What is no
// UTF-8 becomes U+FFFD, and what a terminal or a reader of lines could take
// for more than a character is escaped.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ', r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029:
			b = append(b, '\\', 'u', hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

// wantsJSON reports -o ErrorFormat=json on the command line, which counts also
// where there is no plan yet.
func wantsJSON(line *getopt.CommandLine) bool {
	return strings.EqualFold(option(line, "ErrorFormat"), "json")
}
