package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"
	"time"
)

// status is what the tests look at of muxd status --json; that every field is
// there and documented is held beside the command.
type status struct {
	Version int
	Running bool
	PID     int
	Socket  string
	Started time.Time
	Clients int
	Hosts   []struct {
		Name, User, Addr, State, Persist string
		LastError                        string `json:"last_error"`
		Logins, Waiting                  int
		Links                            []struct {
			State, Auth, Server string
			BytesIn             int64 `json:"bytes_in"`
			Sessions            int
		}
		Sessions []struct {
			PID      int
			Kind     string
			TTY      bool
			BytesOut int64 `json:"bytes_out"`
		}
		Forwards []forwardStatus
	}
}

func (h *host) status(args ...string) (st status) {
	h.t.Helper()
	r := h.run(h.command("muxd", append([]string{"status", "--json"}, args...)...), nil)
	if err := json.Unmarshal([]byte(r.out), &st); err != nil || r.code != 0 || r.err != "" {
		h.t.Fatalf("%+v: %v", r, err)
	}
	return st
}

func TestStatus(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.run(h.command("muxd", "status"), nil).is(t, "muxd is not running\n", "", 0)
	if st := h.status(); st.Version != 1 || st.Running || st.Hosts == nil || len(st.Hosts) > 0 {
		t.Errorf("%+v", st)
	}
	p := h.waiting(1)[0]
	h.run(h.muxc("-p", "1", "box", "true"), nil).fails(t, "refused")

	st := h.status()
	if !st.Running || st.PID != h.pid() || st.Socket != h.socket() || time.Since(st.Started) > long || st.Clients != 2 || len(st.Hosts) != 2 {
		t.Fatalf("%+v", st)
	}
	live, dead := st.Hosts[0], st.Hosts[1]
	if live.State != "ready" {
		live, dead = dead, live
	}
	if live.Name != "box" || live.User != h.sshd.User || live.Addr != h.sshd.Addr || live.State != "ready" || live.Persist != "1h0m0s" ||
		live.Logins != 1 || live.LastError != "" || len(live.Links) != 1 || len(live.Sessions) != 1 {
		t.Fatalf("%+v", live)
	}
	if l := live.Links[0]; l.State != "ready" || l.Auth == "" || l.BytesIn < 1000 || l.Sessions != 1 || !regexp.MustCompile("^SSH-2.0-").MatchString(l.Server) {
		t.Errorf("%+v", l)
	}
	if s := live.Sessions[0]; s.PID != p.cmd.Process.Pid || s.Kind != "exec" || s.TTY || s.BytesOut != 3 {
		t.Errorf("%+v", s)
	}
	if dead.State != "idle" || dead.LastError != "connect to 127.0.0.1:1: connection refused" || len(dead.Links) != 0 {
		t.Errorf("%+v", dead)
	}

	r := h.run(h.command("muxd", "status"), nil)
	want := fmt.Sprintf(`\Amuxd \S+, pid %d, up \d+s, %s\nHOST +STATE .*\n(box +ready .* 1 .* %s@%s\n|box +idle .* \S+@127\.0\.0\.1:1\n  connect to 127\.0\.0\.1:1: connection refused; attempt 1\n){2}\z`,
		h.pid(), h.socket(), h.sshd.User, h.sshd.Addr)
	if r.code != 0 || r.err != "" || !regexp.MustCompile(want).MatchString(r.out) {
		t.Errorf("%s\ndoes not match\n%s", r.out, want)
	}
	p.cmd.Process.Kill()
	h.eventually("the session is gone", func() bool { return len(h.status().Hosts[0].Sessions)+len(h.status().Hosts[1].Sessions) == 0 })
}
