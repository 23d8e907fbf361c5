package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muxd/control"
)

// administered is a muxd that answers muxd's own commands: with what it was
// asked, and with status 1 for a host named bad.
func administered(t *testing.T, change ...func(*scripted)) *scripted {
	return newScripted(t, control.Plan{}, nil, append([]func(*scripted){func(s *scripted) { answer(t, s) }}, change...)...)
}

func answer(t *testing.T, s *scripted) {
	s.b.OnResolve = func(ctx context.Context, v *control.Invocation, p control.Prompter) (*control.Plan, error) {
		host := v.Args[len(v.Args)-1]
		if strings.Join(v.Args, " ") != "-O check -- "+host || v.Dir != s.dir || v.Getenv("HOME") != s.dir {
			t.Errorf("asked %v in %s", v.Args, v.Dir)
		}
		if _, err := p.Prompt(ctx, control.Prompt{Kind: control.PromptText, Text: "who?"}); err != control.ErrNobody {
			t.Errorf("somebody was asked: %v", err)
		}
		if r, err := p.Run(ctx, control.Command{Kind: control.CommandTest, Args: []string{"exit 3"}}); r.Status != 3 {
			t.Errorf("Match exec: %+v, %v", r, err)
		}
		if host == "unknown" {
			return nil, &control.Error{Phase: control.NotDialled, Host: host, Text: "who is that"}
		}
		return &control.Plan{Host: host, Dest: name(host)}, nil
	}
	s.b.OnAdmin = func(_ context.Context, r *control.AdminRequest) (*control.Managed, error) {
		host := "all"
		if r.Dest != nil {
			host = r.Dest.String()
		}
		m := &control.Managed{Text: fmt.Sprintf("%s %s %v %v %v", r.Command, host, r.Forget, r.Down, r.Limit)}
		switch host {
		case "bad":
			m.Code = 1
		case "late":
			m.Code, m.Text = 1, ""
		case "good":
			m.Text = ""
		case "stuck": // as a muxd that was stopped meanwhile
			<-t.Context().Done()
		}
		return m, nil
	}
}

type name string

func (n name) String() string                      { return string(n) }
func (n name) For(string) control.Destination      { return n }
func (n name) Same(other control.Destination) bool { return other == n }

// TestAdministratorsCommands: what the words come to, where the answer goes,
// and the status.
func TestAdministratorsCommands(t *testing.T) {
	t.Parallel()
	s := administered(t)
	for _, tt := range []struct {
		args, out, err string
		code           int
	}{
		{"reconnect a", "reconnect a false false 0s\n", "", 0},
		{"reconnect --forget a b", "reconnect a true false 0s\nreconnect b true false 0s\n", "", 0},
		{"reconnect --all", "reconnect all false false 0s\n", "", 0},
		{"recycle a bad b", "recycle a false false 0s\nrecycle b false false 0s\n", "recycle bad false false 0s\n", 1},
		{"recycle a unknown b", "recycle a false false 0s\nrecycle b false false 0s\n", "muxd: unknown: who is that\n", 1},
		{"wait good", "", "", 0},
		{"wait bad --for down --timeout 1500ms", "", "wait bad false true 1.5s\n", 1},
		{"wait --timeout=2 late", "", "muxd: late: not ready within 2s\n", 1},
		{"wait --for=ready unknown", "", "muxd: unknown: who is that\n", 1},
		{"wait --timeout=1ms stuck", "", "muxd: " + control.ErrSilent.Error() + "\n", 1},
	} {
		s.run(s.command("muxd", strings.Fields(tt.args)...), nil).is(t, tt.out, tt.err, tt.code)
	}
	for args, want := range map[string]string{
		"reconnect": "reconnect: name a host, or --all", "reconnect a --all": "reconnect: name a host, or --all", "recycle --forget a": `recycle: unknown argument "--forget"`,
		"wait": "wait: name one host", "wait a b": "wait: name one host", "wait --all": "wait: name one host", "wait a --for up": `wait: --for "up": it is ready or down`,
		"wait a --timeout soon": `wait: --timeout "soon" is no time`, "events a b": "events: name one host, or none for all of them", "doctor -v": `doctor: unknown argument "-v"`,
	} {
		r := s.run(s.command("muxd", strings.Fields(args)...), nil)
		if first, _, _ := strings.Cut(r.err, "\n"); r.code != 2 || r.out != "" || first != "muxd: "+want {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

// TestAdministeringNothing: only a wait for a connection starts a muxd.
func TestAdministeringNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, args := range []string{"reconnect a b", "recycle --all", "events", "events --json a"} {
		h.run(h.command("muxd", strings.Fields(args)...), nil).is(t, "", "muxd: muxd is not running\n", 1)
	}
	h.run(h.command("muxd", "wait", "a", "--for", "down"), nil).is(t, "", "", 0)
	if n := len(pidsIn(h.logPath())); n != 0 {
		t.Fatalf("%d muxd were started for that", n)
	}
	h.run(h.command("muxd", "wait", "a", "--timeout", "1"), nil)
	h.pid()
}

// TestAdministeringWhoIsStopped: a muxd that does not answer is waited for once,
// however many hosts are named.
func TestAdministeringWhoIsStopped(t *testing.T) {
	t.Parallel()
	s := newHost(t)
	if err := os.MkdirAll(filepath.Dir(s.socket()), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", s.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	doctor, reconnect := s.start(s.command("muxd", "doctor", "a", "b", "c"), nil), s.start(s.command("muxd", "reconnect", "a", "b", "c"), nil)
	reconnect.wait().is(t, "", "muxd: "+control.ErrSilent.Error()+"\n", 1)
	r := doctor.wait()
	if n := strings.Count(r.out, "does not answer"); n != 1 || r.code != 1 {
		t.Errorf("%d times in %+v", n, r)
	}
	for _, r := range []result{r, reconnect.wait()} {
		if r.took > 20*time.Second {
			t.Errorf("it took %v: %+v", r.took, r)
		}
	}
}

// TestAdministeringWhoEnds: a muxd that goes away before it has taken a request is
// none that runs, and the next one is asked.
func TestAdministeringWhoEnds(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if err := os.MkdirAll(filepath.Dir(h.socket()), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args, out, err string
		code           int
	}{
		{"status", "muxd is not running\n", "", 0},
		{"stop", "muxd is not running\n", "", 0},
		{"stop --drain", "muxd is not running\n", "", 0},
		{"unlock", "muxd is not running\n", "", 0},
		{"reconnect a", "", "muxd: muxd is not running\n", 1},
		{"events", "", "muxd: muxd is not running\n", 1},
		{"login --all", "muxd knows no host yet\n", "", 0},
		{"wait --for down a", "", "", 0},
	} {
		l, err := net.Listen("unix", h.socket())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for last := range 2 { // that end one after the other
				c, err := l.Accept()
				if last == 1 {
					l.Close() // removes the socket
				}
				if err == nil {
					c.Close()
				}
			}
		}()
		h.run(h.command("muxd", strings.Fields(tt.args)...), nil).is(t, tt.out, tt.err, tt.code)
		l.Close()
	}
}

// TestWaitEndsWithMuxd: without muxd there is no connection, which is what a
// wait for down waits for, and no other.
func TestWaitEndsWithMuxd(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 9)
	s := administered(t, func(s *scripted) {
		s.b.OnAdmin = func(ctx context.Context, _ *control.AdminRequest) (*control.Managed, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	down, ready := s.start(s.command("muxd", "wait", "--for", "down", "a"), nil), s.start(s.command("muxd", "wait", "a"), nil)
	<-asked
	<-asked
	s.dies()
	down.wait().is(t, "", "", 0)
	ready.wait().is(t, "", "muxd: muxd went away\n", 1)
}

// TestEventsAreWrittenAsTheyCome, and end with who reads them, with muxd, or by
// a signal.
func TestEventsAreWrittenAsTheyCome(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	left := make(chan struct{}, 9)
	s := administered(t, func(s *scripted) {
		s.b.OnEvents = func(ctx context.Context, q *control.EventsRequest, f func(control.Event) error) error {
			defer func() { left <- struct{}{} }()
			for {
				select {
				case to := <-next:
					e := control.Event{Time: time.Unix(1, 0), Kind: control.EventHost, Host: "all", To: to}
					if q.Dest != nil {
						e.Host = q.Dest.String()
					}
					if err := f(e); err != nil {
						return err
					}
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
	})
	r := s.start(s.command("muxd", "events", "--json", "box"), nil)
	next <- "ready"
	r.says(`{"schema":1,"time":"1970-01-01T00:00:01Z","kind":"host","host":"box","to":"ready"}` + "\n") // not at some later time
	r.signal(syscall.SIGINT)
	if res := r.wait(); res.code != 130 || res.err != "" {
		t.Errorf("interrupted: %+v", res)
	}
	<-left
	for _, script := range []string{"", "trap '' PIPE; "} {
		r = s.start(s.sh(script+bin+"/muxd events | head -n 1"), nil)
		next <- "one"
		r.says("host     all               one\n")
		for gone := false; !gone; { // it notices when it writes
			select {
			case next <- "more":
			case <-left:
				gone = true
			case <-time.After(long):
				t.Fatal("it goes on for nobody")
			}
		}
		if res := r.wait(); res.err != "" || res.code != 0 {
			t.Errorf("%s: %+v", script, res)
		}
	}
	r = s.start(s.command("muxd", "events"), nil)
	next <- "ready"
	r.says("ready")
	s.dies()
	if res := r.wait(); res.code != 1 || res.err != "muxd: muxd went away\n" {
		t.Errorf("without muxd: %+v", res)
	}
}
