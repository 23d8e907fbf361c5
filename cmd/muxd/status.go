package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"muxd/alive"
	"muxd/control"
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
	c, err := connect()
	if errors.Is(err, socket.ErrNoServer) {
		if asJSON {
			return printJSON(os.Stdout, statusJSON{Version: statusVersion, Hosts: []hostJSON{}})
		}
		fmt.Println("muxd is not running")
		return 0
	}
	if err != nil {
		return complain(err)
	}
	defer c.Close()
	st, err := control.GetStatus(c, control.StatusRequest{Probe: a.has("--probe-forwards")})
	if err != nil {
		return complain(err)
	}
	if asJSON {
		return printJSON(os.Stdout, newStatusJSON(st))
	}
	printStatus(os.Stdout, st, time.Now())
	return 0
}

func printJSON(w io.Writer, v any) int {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return complain(err)
	}
	return 0
}

// printStatus is the table for people. Times are ages against now.
func printStatus(w io.Writer, st *control.Status, now time.Time) {
	fmt.Fprintf(w, "muxd %s, pid %d, up %s, %s\n", st.Build, st.PID, age(now, st.Started), st.Socket)
	if len(st.Hosts) == 0 {
		fmt.Fprintln(w, "no connections")
		return
	}
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "HOST\tSTATE\tFOR\tSESSIONS\tLAST BYTE\tRTT\tLOGINS\tTO")
	for i := range st.Hosts {
		h := &st.Hosts[i]
		last, rtt := "-", "-"
		if n := len(h.Links); n > 0 {
			last = age(now, h.Links[n-1].LastByte) + " ago"
			if r := h.Links[n-1].RTT; r > 0 {
				rtt = r.Round(100 * time.Microsecond).String()
			}
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\t%s\t%d\t%s@%s\n", h.Name, h.State, age(now, h.Since),
			len(h.Sessions), last, rtt, h.Logins, h.User, h.Addr)
	}
	tw.Flush()
	lines := strings.SplitAfter(table.String(), "\n") // the header, and one for each host
	io.WriteString(w, lines[0])
	for i := range st.Hosts {
		io.WriteString(w, lines[i+1])
		printLinks(w, &st.Hosts[i])
		printForwards(w, &st.Hosts[i], now)
	}
	for i := range st.Hosts {
		h := &st.Hosts[i]
		if text := lastTry(h, now); text != "" {
			fmt.Fprintf(w, "%s: %s\n", h.Name, text)
		}
		if h.KeepWarmLearned && h.KeepWarm > 0 && h.KeepWarm < alive.UnsetInterval {
			fmt.Fprintf(w, "%s: used every %v while idle, because the path forgets longer silence (learned; muxd reconnect --forget %s)\n",
				h.Name, h.KeepWarm, h.Name)
		}
	}
}

// printLinks says what each connection is for, where there are several.
func printLinks(w io.Writer, h *control.HostStatus) {
	if len(h.Links) < 2 {
		return
	}
	var each []string
	for _, l := range h.Links {
		what := l.Use
		if what == "" {
			what = l.State
		}
		each = append(each, fmt.Sprintf("%s %d", what, l.Sessions))
	}
	fmt.Fprintf(w, "  %d connections, with sessions: %s\n", len(h.Links), strings.Join(each, ", "))
}

// lastTry is why there is no connection, and when there may be one.
func lastTry(h *control.HostStatus, now time.Time) string {
	text, sep := h.LastErr, ""
	if text != "" {
		sep = "; "
	}
	if h.Attempt > 0 {
		text += fmt.Sprintf("%sattempt %d", sep, h.Attempt)
		sep = ", "
	}
	if !h.Next.IsZero() {
		text += fmt.Sprintf("%snext try in %d s", sep, seconds(now, h.Next))
	}
	return text
}

// age is a duration as people say it: two units at most.
func age(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(max(0, d).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}
