package main

import (
	"time"

	"muxd/control"
)

// statusVersion is the version of the JSON of muxd status. It rises when a
// field changes its meaning or goes away; new fields may come without.
// docs/status-json.md describes the fields.
const statusVersion = 1

type statusJSON struct {
	Version int        `json:"version"`
	Running bool       `json:"running"`
	PID     int        `json:"pid,omitempty"`
	Build   string     `json:"build,omitempty"`
	Started *time.Time `json:"started,omitempty"`
	Socket  string     `json:"socket,omitempty"`
	Clients int        `json:"clients"`
	Locked  *time.Time `json:"locked_since,omitempty"`
	Drains  bool       `json:"draining,omitempty"`
	Hosts   []hostJSON `json:"hosts"`
}

type hostJSON struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"`
	User     string        `json:"user"`
	Addr     string        `json:"addr"`
	State    string        `json:"state"`
	Since    *time.Time    `json:"since"`
	Waiting  int           `json:"waiting"`
	Logins   int           `json:"logins"`
	Failed   int           `json:"failed_attempts"`
	Lost     int           `json:"lost_connections"`
	Again    int           `json:"reconnects"`
	BytesIn  int64         `json:"bytes_in"`
	BytesOut int64         `json:"bytes_out"`
	Persist  string        `json:"persist"`
	LastErr  string        `json:"last_error,omitempty"`
	Attempt  int           `json:"attempt,omitempty"`
	Next     *time.Time    `json:"next_attempt,omitempty"`
	Wanted   string        `json:"wanted,omitempty"`
	KeepMS   int64         `json:"keep_warm_ms"`
	Learned  bool          `json:"keep_warm_learned"`
	Limit    int           `json:"session_limit,omitempty"`
	Links    []linkJSON    `json:"links"`
	Sessions []sessionJSON `json:"sessions"`
	Forwards []forwardJSON `json:"forwards"`
}

type linkJSON struct {
	State      string     `json:"state"`
	Use        string     `json:"use,omitempty"`
	Since      *time.Time `json:"since"`
	Remote     string     `json:"remote"`
	Auth       string     `json:"auth"`
	Server     string     `json:"server"`
	LastByte   *time.Time `json:"last_byte"`
	RTTMillis  float64    `json:"rtt_ms,omitempty"`
	BytesIn    int64      `json:"bytes_in"`
	BytesOut   int64      `json:"bytes_out"`
	Sessions   int        `json:"sessions"`
	IntervalMS int64      `json:"alive_interval_ms"`
	CountMax   int        `json:"alive_count_max"`
}

type sessionJSON struct {
	PID      int        `json:"pid"`
	Kind     string     `json:"kind"`
	TTY      bool       `json:"tty"`
	Since    *time.Time `json:"since"`
	BytesIn  int64      `json:"bytes_in"`
	BytesOut int64      `json:"bytes_out"`
	Command  string     `json:"command,omitempty"`
}

type forwardJSON struct {
	Kind     string     `json:"kind"`
	Option   string     `json:"option"`
	Listen   endJSON    `json:"listen"`
	Connect  *endJSON   `json:"connect,omitempty"`
	State    string     `json:"state"`
	Since    *time.Time `json:"since"`
	Sticky   bool       `json:"sticky"`
	Owners   []int      `json:"owners"`
	Waiting  int        `json:"waiting"`
	Open     int        `json:"open"`
	Total    int64      `json:"total"`
	BytesIn  int64      `json:"bytes_in"`
	BytesOut int64      `json:"bytes_out"`
	LastErr  string     `json:"last_error,omitempty"`
	Next     *time.Time `json:"next_attempt,omitempty"`
	Probe    *probeJSON `json:"probe,omitempty"`
}

type endJSON struct {
	Host string `json:"host,omitempty"`
	Port int    `json:"port,omitempty"`
	Path string `json:"path,omitempty"`
}

type probeJSON struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func newForwardJSON(f *control.ForwardStatus) forwardJSON {
	j := forwardJSON{Kind: string(f.Kind), Option: f.String(), Listen: endJSON(f.Listen), State: f.State, Since: when(f.Since),
		Sticky: f.Sticky, Owners: append([]int{}, f.Owners...), Waiting: f.Waiting, Open: f.Open, Total: f.Total, BytesIn: f.In, BytesOut: f.Out,
		LastErr: f.LastErr, Next: when(f.Next)}
	if !f.Kind.Dynamic() {
		to := endJSON(f.Connect)
		j.Connect = &to
	}
	if f.Probed {
		j.Probe = &probeJSON{OK: f.Probe == "", Error: f.Probe}
	}
	return j
}

func newStatusJSON(st *control.Status) statusJSON {
	j := statusJSON{Version: statusVersion, Running: true, PID: st.PID, Build: st.Build, Started: when(st.Started),
		Socket: st.Socket, Clients: st.Clients, Locked: when(st.Locked), Drains: st.Drains, Hosts: []hostJSON{}}
	for i := range st.Hosts {
		j.Hosts = append(j.Hosts, newHostJSON(&st.Hosts[i]))
	}
	return j
}

func newHostJSON(h *control.HostStatus) hostJSON {
	j := hostJSON{ID: h.ID, Name: h.Name, User: h.User, Addr: h.Addr, State: h.State, Since: when(h.Since), Waiting: h.Waiting,
		Logins: h.Logins, Failed: h.Failed, Lost: h.Lost, Again: h.Again, BytesIn: h.In, BytesOut: h.Out, Limit: h.Limit, Persist: h.Persist, LastErr: h.LastErr, Attempt: h.Attempt,
		Next: when(h.Next), Wanted: h.Wanted, KeepMS: h.KeepWarm.Milliseconds(), Learned: h.KeepWarmLearned, Links: []linkJSON{}, Sessions: []sessionJSON{}, Forwards: []forwardJSON{}}
	for _, l := range h.Links {
		j.Links = append(j.Links, linkJSON{State: l.State, Use: l.Use, Since: when(l.Since), Remote: l.Remote, Auth: l.Auth,
			Server: l.Server, LastByte: when(l.LastByte), RTTMillis: float64(l.RTT) / float64(time.Millisecond),
			BytesIn: l.In, BytesOut: l.Out, Sessions: l.Sessions, IntervalMS: l.Interval.Milliseconds(), CountMax: l.CountMax})
	}
	for _, s := range h.Sessions {
		j.Sessions = append(j.Sessions, sessionJSON{PID: s.PID, Kind: s.Kind, TTY: s.TTY, Since: when(s.Since),
			BytesIn: s.In, BytesOut: s.Out, Command: s.Command})
	}
	for i := range h.Forwards {
		j.Forwards = append(j.Forwards, newForwardJSON(&h.Forwards[i]))
	}
	return j
}

// when is a time in UTC, or nothing for the zero time.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
