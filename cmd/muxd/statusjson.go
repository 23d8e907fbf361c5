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
	Hosts   []hostJSON `json:"hosts"`
}

type hostJSON struct {
	Name     string        `json:"name"`
	User     string        `json:"user"`
	Addr     string        `json:"addr"`
	State    string        `json:"state"`
	Since    *time.Time    `json:"since"`
	Waiting  int           `json:"waiting"`
	Logins   int           `json:"logins"`
	Persist  string        `json:"persist"`
	LastErr  string        `json:"last_error,omitempty"`
	Attempt  int           `json:"attempt,omitempty"`
	Next     *time.Time    `json:"next_attempt,omitempty"`
	Wanted   string        `json:"wanted,omitempty"`
	KeepMS   int64         `json:"keep_warm_ms"`
	Learned  bool          `json:"keep_warm_learned"`
	Links    []linkJSON    `json:"links"`
	Sessions []sessionJSON `json:"sessions"`
}

type linkJSON struct {
	State      string     `json:"state"`
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
}

func newStatusJSON(st *control.Status) statusJSON {
	j := statusJSON{Version: statusVersion, Running: true, PID: st.PID, Build: st.Build, Started: when(st.Started),
		Socket: st.Socket, Clients: st.Clients, Hosts: []hostJSON{}}
	for i := range st.Hosts {
		j.Hosts = append(j.Hosts, newHostJSON(&st.Hosts[i]))
	}
	return j
}

func newHostJSON(h *control.HostStatus) hostJSON {
	j := hostJSON{Name: h.Name, User: h.User, Addr: h.Addr, State: h.State, Since: when(h.Since), Waiting: h.Waiting,
		Logins: h.Logins, Persist: h.Persist, LastErr: h.LastErr, Attempt: h.Attempt,
		Next: when(h.Next), Wanted: h.Wanted, KeepMS: h.KeepWarm.Milliseconds(), Learned: h.KeepWarmLearned, Links: []linkJSON{}, Sessions: []sessionJSON{}}
	for _, l := range h.Links {
		j.Links = append(j.Links, linkJSON{State: l.State, Since: when(l.Since), Remote: l.Remote, Auth: l.Auth,
			Server: l.Server, LastByte: when(l.LastByte), RTTMillis: float64(l.RTT) / float64(time.Millisecond),
			BytesIn: l.In, BytesOut: l.Out, Sessions: l.Sessions, IntervalMS: l.Interval.Milliseconds(), CountMax: l.CountMax})
	}
	for _, s := range h.Sessions {
		j.Sessions = append(j.Sessions, sessionJSON{PID: s.PID, Kind: s.Kind, TTY: s.TTY, Since: when(s.Since),
			BytesIn: s.In, BytesOut: s.Out})
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
