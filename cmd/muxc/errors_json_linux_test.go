package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"muxd/control"
)

// object fails the test unless the process said one object and nothing else.
func (r result) object(t *testing.T, phase, host, text string) {
	t.Helper()
	var v struct{ Phase, Host, Error string }
	if err := json.Unmarshal([]byte(r.err), &v); err != nil || r.code != 255 || r.out != "" || strings.Count(r.err, "\n") != 1 ||
		v.Phase != phase || v.Host != host || !strings.Contains(v.Error, text) {
		t.Errorf("%+v; want %s, %s, %q", r, phase, host, text)
	}
}

// TestErrorFormat: with or without a plan, and from wherever it is asked for.
func TestErrorFormat(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	ask := []string{"-o", "ErrorFormat=json"}
	h.run(h.muxc(append(ask, "-O", "check", "box")...), nil).object(t, "not dialled", "box", "no connection: muxd is not running")
	h.run(h.muxc(append(ask, "-E", "/nonexistent/log", "box")...), nil).object(t, "not dialled", "box", "log file /nonexistent/log")
	h.run(h.muxc(append(ask, "-p", "1", "127.0.0.1", "true")...), nil).object(t, "refused", "127.0.0.1", "connection refused")
	h.run(h.muxc(append(ask, "-o", "Nonsense=1", "box")...), nil).object(t, "not dialled", "box", "Bad configuration option")
	os.Mkdir(h.dir+"/muxd", 0o700) // which -F leaves out
	h.setenv("XDG_CONFIG_HOME", h.dir)
	write(t, h.dir+"/muxd/config", "ErrorFormat json\nWaitForReady no\n")
	h.run(h.command("muxc", "-p", "1", "127.0.0.1", "true"), nil).object(t, "refused", "127.0.0.1", "connection refused")
	h.run(h.command("muxc", "-o", "ErrorFormat=text", "-p", "1", "127.0.0.1", "true"), nil).fails(t, "127.0.0.1: connect to 127.0.0.1:1: connection refused")
	if r := h.run(h.command("muxc", "-q", "-p", "1", "127.0.0.1", "true"), nil); r.err != "" || r.code != 255 {
		t.Errorf("-q: %+v", r)
	}
}

// TestErrorFormatOfWhatMayHaveRun: muxd's end before the session is open and
// after that, and a file that asks for it.
func TestErrorFormatOfWhatMayHaveRun(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 9)
	s := newScripted(t, control.Plan{JSON: true}, func(n int, p control.Prompter) error {
		asked <- struct{}{}
		switch n {
		case 1:
			return hearsEnter(p)
		case 3:
			return errors.New("who knows")
		}
		return nil
	})
	gone := s.start(s.command("muxc", "-o", "ErrorFormat=json", "box"), nil)
	<-asked
	s.dies()
	gone.wait().object(t, "sent", "box", "went away; the command may have run")
	gone = s.start(s.command("muxc", "-o", "ErrorFormat=json", "box"), nil)
	if err := s.session().WaitEvent(t.Context(), "eof"); err != nil { // it knows that it is open
		t.Fatal(err)
	}
	s.dies()
	gone.wait().object(t, "running", "box", "went away; the command may still be running")

	s.run(s.command("muxc", "box"), nil).object(t, "sent", "box", "who knows") // no word of it on the command line
}
