package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"

	"muxd/control"
	"muxd/internal/table"
	"muxd/internal/term"
	"muxd/internal/top"
	"muxd/socket"
)

// liveView shows what the running muxd holds until a person has seen enough. The
// terminal is given back as it was however that ends: by a key, by a signal or
// by a panic.
func liveView(args []string) int {
	if len(args) > 0 {
		return misused("top: it takes no arguments")
	}
	if name := os.Getenv("TERM"); !term.IsTerminal(1) || name == "" || name == "dumb" {
		return complain(errors.New("top draws on a terminal, and standard output is none that it can draw on: muxd status prints once"))
	}
	p := tea.NewProgram(top.New(asker{}, table.Colours(os.Getenv)))
	// The library restores the terminal for INT and TERM; by default these two
	// would end the process where it stands.
	sigs := make(chan os.Signal, 1)
	signal.Notify(sigs, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		<-sigs
		p.Quit()
	}()
	if _, err := p.Run(); err != nil && !errors.Is(err, tea.ErrInterrupted) {
		return complain(err)
	}
	return 0
}

// asker is the running muxd as a top.Source: another one each time, if need be.
type asker struct{}

// Look implements top.Source.
func (asker) Look() top.Sample {
	st, err := getStatus()
	if errors.Is(err, socket.ErrNoServer) {
		err = errNotRunning
	}
	return top.Sample{At: time.Now(), Status: st, Err: err}
}

// Act implements top.Source.
func (asker) Act(a top.Action, h control.HostStatus) top.Done {
	command := string(a)
	if a == top.Stop {
		command = "exit"
	}
	// The host that is shown, which its name may not mean here and now.
	r, err := asking(connect, func(c *socket.Conn) (reply, error) {
		return ask(c, &control.AdminRequest{Command: command, Shown: h.ID}, nil)
	})
	said := strings.TrimSpace(r.said)
	switch {
	case errors.Is(err, socket.ErrNoServer):
		return top.Done{Err: errNotRunning}
	case err != nil:
		return top.Done{Err: err}
	case r.code != 0 && said != "":
		return top.Done{Err: errors.New(said)}
	case r.code != 0:
		return top.Done{Err: fmt.Errorf("%s: %s failed", h.Name, a)}
	case said == "":
		said = fmt.Sprintf("%s: %s: done", h.Name, a)
	}
	return top.Done{Text: said}
}
