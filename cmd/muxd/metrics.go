package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"muxd/control"
	"muxd/internal/table"
)

// printMetrics prints numbers for a monitoring system, once: in OpenMetrics' text to
// stdout, or to a file for node_exporter's textfile collector. A muxd that does
// not run is a number too.
func printMetrics(args []string) int {
	a, err := parseAbout(args, map[string]bool{"--file": true})
	if err == nil && (len(a.hosts) > 0 || a.all) {
		err = errors.New("it takes no host, and tells of all of them")
	}
	if err != nil {
		return misused("metrics: " + err.Error())
	}
	st, err := currentStatus()
	if err != nil {
		return complain(err)
	}
	path, toFile := a.flags["--file"]
	fams := families(st)
	if !toFile {
		err = writeMetrics(os.Stdout, fams, true)
	} else {
		err = replaceFile(path, 0o644, func(w io.Writer) error { return writeMetrics(w, fams, false) })
	}
	if err != nil {
		return complain(fmt.Errorf("metrics: %w", err))
	}
	return 0
}

// family is a metric and its values.
type family struct {
	name, kind, unit, help string // the name without _total; kind is counter, gauge or info
	samples                []sampled
}

// sampled is one value and its labels, name and value in turn.
type sampled struct {
	labels []string
	value  float64
}

func (f *family) add(value float64, labels ...string) {
	f.samples = append(f.samples, sampled{labels, value})
}

// hostStates are the values of HostStatus.State.
var hostStates = []string{"idle", "connecting", "ready", "suspect", "waiting", "blocked", "closed"}

func families(st *control.Status) []*family {
	up := &family{name: "muxd_up", kind: "gauge", help: "Whether muxd runs."}
	if up.add(number(st.PID != 0)); st.PID == 0 {
		return []*family{up}
	}
	info := &family{name: "muxd_build", kind: "info", help: "The version of muxd."}
	info.add(1, "version", st.Build)
	started := &family{name: "muxd_start_time_seconds", kind: "gauge", unit: "seconds", help: "When muxd started, since 1970."}
	started.add(epoch(st.Started))
	clients := &family{name: "muxd_clients", kind: "gauge", help: "Operations under way."}
	clients.add(float64(st.Clients))
	all := append([]*family{up, info, started, clients}, hostFamilies(st.Hosts)...)
	return append(all, forwardFamilies(st.Hosts)...)
}

func hostFamilies(hosts []control.HostStatus) []*family {
	state := &family{name: "muxd_host_state", kind: "gauge", help: "1 for the state in which the host is, 0 for the others."}
	limit := &family{name: "muxd_host_session_limit", kind: "gauge", help: "Sessions that the server was seen to take on one connection."}
	rtt := &family{name: "muxd_host_round_trip_seconds", kind: "gauge", unit: "seconds", help: "Time that the last answered probe took."}
	last := &family{name: "muxd_host_last_byte_timestamp_seconds", kind: "gauge", unit: "seconds", help: "When the last byte was received, since 1970."}
	login := &family{name: "muxd_host_login_timestamp_seconds", kind: "gauge", unit: "seconds", help: "When the connection was logged in, since 1970."}
	plain := []struct {
		family
		value func(h *control.HostStatus) float64
	}{
		{family{name: "muxd_host_connections", kind: "gauge", help: "SSH connections."}, func(h *control.HostStatus) float64 { return float64(len(h.Links)) }},
		{family{name: "muxd_host_sessions", kind: "gauge", help: "Open sessions."}, func(h *control.HostStatus) float64 { return float64(len(h.Sessions)) }},
		{family{name: "muxd_host_waiting_requests", kind: "gauge", help: "Requests that wait for the connection."}, func(h *control.HostStatus) float64 { return float64(h.Waiting) }},
		{family{name: "muxd_host_logins", kind: "counter", help: "Logins that succeeded."}, func(h *control.HostStatus) float64 { return float64(h.Logins) }},
		{family{name: "muxd_host_failed_attempts", kind: "counter", help: "Attempts to connect that failed."}, func(h *control.HostStatus) float64 { return float64(h.Failed) }},
		{family{name: "muxd_host_lost_connections", kind: "counter", help: "Connections that ended without anybody's wish."}, func(h *control.HostStatus) float64 { return float64(h.Lost) }},
		{family{name: "muxd_host_received_bytes", kind: "counter", unit: "bytes", help: "Received on the wire."}, func(h *control.HostStatus) float64 { return float64(h.In) }},
		{family{name: "muxd_host_sent_bytes", kind: "counter", unit: "bytes", help: "Sent on the wire."}, func(h *control.HostStatus) float64 { return float64(h.Out) }},
	}
	for i := range hosts {
		h := &hosts[i]
		labels := []string{"id", h.ID, "host", h.Name, "user", h.User, "address", h.Addr}
		for _, s := range hostStates {
			state.add(number(s == h.State), append(labels[:len(labels):len(labels)], "state", s)...)
		}
		for p := range plain {
			plain[p].add(plain[p].value(h), labels...)
		}
		if h.Limit > 0 {
			limit.add(float64(h.Limit), labels...)
		}
		if l := table.Link(h); l != nil {
			last.add(epoch(l.LastByte), labels...)
			login.add(epoch(l.Since), labels...)
			if l.RTT > 0 {
				rtt.add(l.RTT.Seconds(), labels...)
			}
		}
	}
	all := []*family{state, limit, rtt, last, login}
	for p := range plain {
		all = append(all, &plain[p].family)
	}
	return all
}

func forwardFamilies(hosts []control.HostStatus) []*family {
	up := &family{name: "muxd_forward_up", kind: "gauge", help: "Whether the forward listens."}
	open := &family{name: "muxd_forward_open_connections", kind: "gauge", help: "Connections through the forward now."}
	total := &family{name: "muxd_forward_connections", kind: "counter", help: "Connections through the forward so far."}
	in := &family{name: "muxd_forward_received_bytes", kind: "counter", unit: "bytes", help: "To the client's side."}
	out := &family{name: "muxd_forward_sent_bytes", kind: "counter", unit: "bytes", help: "To the server's side."}
	for i := range hosts {
		for j := range hosts[i].Forwards {
			f := &hosts[i].Forwards[j]
			labels := []string{"id", hosts[i].ID, "host", hosts[i].Name, "forward", f.String()}
			up.add(number(f.State == control.ForwardActive), labels...)
			open.add(float64(f.Open), labels...)
			total.add(float64(f.Total), labels...)
			in.add(float64(f.In), labels...)
			out.add(float64(f.Out), labels...)
		}
	}
	return []*family{up, open, total, in, out}
}

// writeMetrics writes families that have a value. In OpenMetrics a counter is
// named without the _total that its samples have; in the older text, which is
// all that node_exporter reads, with it, or it would not be taken for one.
func writeMetrics(w io.Writer, fams []*family, open bool) error {
	var b strings.Builder
	for _, f := range fams {
		if len(f.samples) == 0 {
			continue
		}
		sample := f.name + map[string]string{"counter": "_total", "info": "_info"}[f.kind]
		name, kind := f.name, f.kind
		if !open {
			if name = sample; kind == "info" {
				kind = "gauge"
			}
		}
		fmt.Fprintf(&b, "# TYPE %s %s\n", name, kind)
		if open && f.unit != "" {
			fmt.Fprintf(&b, "# UNIT %s %s\n", name, f.unit)
		}
		fmt.Fprintf(&b, "# HELP %s %s\n", name, f.help)
		for _, s := range f.samples {
			fmt.Fprintf(&b, "%s%s %s\n", sample, labelSet(s.labels), strconv.FormatFloat(s.value, 'f', -1, 64))
		}
	}
	if open {
		b.WriteString("# EOF\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var labelEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func labelSet(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	var each []string
	for i := 0; i < len(labels); i += 2 {
		each = append(each, fmt.Sprintf(`%s="%s"`, labels[i], labelEscape.Replace(control.CleanLine(labels[i+1]))))
	}
	return "{" + strings.Join(each, ",") + "}"
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// epoch is a time in seconds since 1970, to the millisecond.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
