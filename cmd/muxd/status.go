package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/table"
	"muxd/internal/term"
	"muxd/socket"
)

// status prints what the running muxd holds. A muxd that does not run holds
// nothing, which is an answer and no error.
func status(args []string) int {
	a, err := parseAbout(args, map[string]bool{"--json": false, "--probe-forwards": false})
	if err == nil && (len(a.hosts) > 0 || a.all) {
		err = errors.New("it takes no host, and shows all of them")
	}
	if err != nil {
		return misused("status: " + err.Error())
	}
	asJSON := a.has("--json")
	st, err := asking(connect, func(c *socket.Conn) (*control.Status, error) {
		return control.GetStatus(c, control.StatusRequest{Probe: a.has("--probe-forwards")})
	})
	if errors.Is(err, socket.ErrNoServer) {
		if asJSON {
			return printJSON(os.Stdout, statusJSON{Version: statusVersion, Hosts: []hostJSON{}})
		}
		return shown(func(w io.Writer) { fmt.Fprintln(w, "muxd is not running") })
	}
	if err != nil {
		return complain(err)
	}
	if asJSON {
		return printJSON(os.Stdout, newStatusJSON(st))
	}
	return shown(func(w io.Writer) { printStatus(w, st, time.Now(), lookOf(1)) })
}

// shown is show, and its status.
func shown(print func(io.Writer)) int {
	if err := show(print); err != nil {
		return complain(err)
	}
	return 0
}

// show prints what somebody asked to see. Half of it in a file, because the disk is
// full, must not look like all of it.
func show(print func(io.Writer)) error {
	var b bytes.Buffer
	print(&b)
	_, err := b.WriteTo(os.Stdout)
	return err
}

func printJSON(w io.Writer, v any) int {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return complain(err)
	}
	return 0
}

// look is what the place allows that something is printed to.
type look struct {
	width  int // in columns; 0 is any
	colour bool
}

// lookOf is that of a descriptor: what is no terminal takes lines of any length,
// unless COLUMNS says otherwise, and wants no colour.
func lookOf(fd int) look {
	if !term.IsTerminal(fd) {
		n, _ := strconv.Atoi(os.Getenv("COLUMNS"))
		return look{width: max(0, n)}
	}
	l := look{width: 80, colour: table.Colours(os.Getenv)}
	if w, err := term.Size(fd); err == nil && w.Cols > 0 {
		l.width = int(w.Cols)
	}
	return l
}

// columns of the table of hosts: name and state stay, however narrow it is.
var columns = []table.Column{
	{Title: "HOST", Least: 12}, {Title: "STATE"}, {Title: "FOR", Rank: 5}, {Title: "LAST BYTE", Rank: 8}, {Title: "RTT", Rank: 7},
	{Title: "LOGIN", Rank: 4}, {Title: "SESSIONS", Rank: 6}, {Title: "RECONN", Rank: 3}, {Title: "TO", Rank: 2, Least: 16},
}

// printStatus is the table for people. Times are ages against now.
func printStatus(w io.Writer, st *control.Status, now time.Time, l look) {
	say := func(text string, indent int, ink table.Ink) {
		for _, line := range table.Fold(text, l.width, indent) {
			fmt.Fprintln(w, ink.Paint(line, l.colour))
		}
	}
	say(fmt.Sprintf("muxd %s, pid %d, up %s, %s", st.Build, st.PID, table.Age(now, st.Started), st.Socket), 0, table.Plain)
	for _, text := range table.Refusing(st, now) {
		say(text, 0, table.Bad)
	}
	if len(st.Hosts) == 0 {
		fmt.Fprintln(w, "no connections")
		return
	}
	t := table.Table{Columns: columns}
	for i := range st.Hosts {
		t.Rows = append(t.Rows, hostRow(&st.Hosts[i], now))
	}
	lines := t.Lines(l.width, l.colour) // the header, and one for each host
	fmt.Fprintln(w, lines[0])
	for i := range st.Hosts {
		h := &st.Hosts[i]
		fmt.Fprintln(w, lines[i+1])
		if text := table.LastTry(h, now); text != "" {
			say(text, 2, table.OfState(h.State).Unless(table.Good))
		}
		if text := table.Connections(h); text != "" {
			say(text, 2, table.Plain)
		}
		for f := range h.Forwards {
			say(table.Forward(&h.Forwards[f], now), 2, table.OfState(h.Forwards[f].State).Unless(table.Good))
		}
		if h.KeepWarmLearned && h.KeepWarm > 0 && h.KeepWarm < alive.UnsetInterval {
			say(fmt.Sprintf("used every %v while idle, because the path forgets longer silence (learned; muxd reconnect --forget %s)", h.KeepWarm, h.Name), 2, table.Faint)
		}
	}
}

func hostRow(h *control.HostStatus, now time.Time) []table.Cell {
	last, rtt, login := "-", "-", "-"
	if l := table.Link(h); l != nil {
		last, login = table.Age(now, l.LastByte)+" ago", table.Age(now, l.Since)
		if l.RTT > 0 {
			rtt = table.RoundTrip(l.RTT)
		}
	}
	cells := make([]table.Cell, 0, len(columns))
	for _, text := range []string{h.Name, h.State, table.Age(now, h.Since), last, rtt, login, table.Sessions(h),
		strconv.Itoa(h.Again), h.User + "@" + h.Addr} {
		cells = append(cells, table.Cell{Text: text})
	}
	cells[1].Ink = table.OfState(h.State)
	return cells
}
