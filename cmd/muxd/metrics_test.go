package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"muxd/control"
)

var (
	metricName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$`)
	labelPair  = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)`)
)

// parseMetrics reads OpenMetrics' text (open) or Prometheus' as strictly as
// their readers do, and returns each series with its value.
func parseMetrics(text string, open bool) (map[string]float64, error) {
	values, done := map[string]float64{}, map[string]bool{}
	name, kind, unit, ended := "", "", "", false
	for line := range strings.Lines(text) {
		line, whole := strings.CutSuffix(line, "\n")
		f := strings.SplitN(line, " ", 4)
		switch {
		case !whole || ended:
			return nil, fmt.Errorf("%q: cut, or behind the end", line)
		case open && line == "# EOF":
			ended = true
		case len(f) == 4 && f[0] == "#" && f[1] == "TYPE":
			if name, kind, unit = f[2], f[3], ""; done[name] || !metricName.MatchString(name) {
				return nil, fmt.Errorf("%s: twice, or no name", name)
			}
			done[name] = true
		case len(f) == 4 && f[0] == "#" && (f[1] == "HELP" || open && f[1] == "UNIT"):
			if f[2] != name {
				return nil, fmt.Errorf("%q in the family %s", line, name)
			}
			if f[1] == "UNIT" {
				unit = f[3]
			}
		default:
			m := sampleLine.FindStringSubmatch(line)
			if m == nil {
				return nil, fmt.Errorf("%q is no sample", line)
			}
			want := name
			if open {
				want += map[string]string{"counter": "_total", "info": "_info"}[kind]
			}
			v, err := strconv.ParseFloat(m[3], 64)
			_, twice := values[m[1]+m[2]]
			if err != nil || twice || m[1] != want || unit != "" && !strings.HasSuffix(name, "_"+unit) || kind == "counter" && (v < 0 || !strings.HasSuffix(m[1], "_total")) {
				return nil, fmt.Errorf("%q in the family %s %s %s", line, name, kind, unit)
			}
			for rest := strings.Trim(m[2], "{}"); rest != ""; {
				l := labelPair.FindStringSubmatch(rest)
				if l == nil {
					return nil, fmt.Errorf("labels %q", m[2])
				}
				rest = rest[len(l[0]):]
			}
			values[m[1]+m[2]] = v
		}
	}
	if open && !ended {
		return nil, errors.New("no end")
	}
	return values, nil
}

func TestMetricsAreRead(t *testing.T) {
	st := sample()
	st.Hosts[1].Name = "a \"quoted\\\nname\x1b"
	for _, open := range []bool{true, false} {
		var b strings.Builder
		if err := writeMetrics(&b, families(st), open); err != nil {
			t.Fatal(err)
		}
		values, err := parseMetrics(b.String(), open)
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		const box = `{id="0123456789abcdef",host="box",user="me",address="10.0.0.1:22"`
		for series, want := range map[string]float64{
			"muxd_up": 1, `muxd_build_info{version="1.2.3"}`: 1, "muxd_clients": 3, "muxd_start_time_seconds": 1767344400.5,
			"muxd_host_state" + box + `,state="ready"}`: 1, "muxd_host_state" + box + `,state="blocked"}`: 0,
			"muxd_host_logins_total" + box + "}": 2, "muxd_host_failed_attempts_total" + box + "}": 3, "muxd_host_lost_connections_total" + box + "}": 1,
			"muxd_host_received_bytes_total" + box + "}": 5000, "muxd_host_sent_bytes_total" + box + "}": 6000, "muxd_host_session_limit" + box + "}": 10,
			"muxd_host_round_trip_seconds" + box + "}": 0.012345, "muxd_host_sessions" + box + "}": 1,
			`muxd_forward_sent_bytes_total{id="0123456789abcdef",host="box",forward="-D localhost:1080"}`:  12e9,
			`muxd_forward_up{id="0123456789abcdef",host="box",forward="-D localhost:1080"}`:                1,
			`muxd_host_logins_total{id="",host="a \"quoted\\ name?",user="me",address="10.0.0.2:22"}`:      0,
			`muxd_forward_connections_total{id="0123456789abcdef",host="box",forward="-R localhost:0"}`:    0,
			`muxd_forward_open_connections{id="0123456789abcdef",host="box",forward="-D localhost:1080"}`:  0,
			`muxd_forward_received_bytes_total{id="0123456789abcdef",host="box",forward="-R localhost:0"}`: 0,
		} {
			if got, ok := values[series]; !ok || got != want {
				t.Errorf("%s is %v, %v, want %v", series, got, ok, want)
			}
		}
	}
	var b strings.Builder
	writeMetrics(&b, families(new(control.Status)), true)
	if values, err := parseMetrics(b.String(), true); err != nil || len(values) != 1 || values["muxd_up"] != 0 {
		t.Errorf("%v, %v", values, err)
	}
}
