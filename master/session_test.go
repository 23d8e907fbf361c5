package master

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		command string
		out     string
		exit    control.Exit
		text    string // of the error, "" for none
	}{
		{"echo a b", "a b\n", control.Exit{}, ""},
		{"echo x; exit 7", "x\n", control.Exit{Code: 7}, ""},
		{"exit 255", "", control.Exit{Code: 255}, ""},
		{"kill TERM", "", control.Exit{Signal: "TERM"}, ""},
		{"echo x; noexit", "x\n", control.Exit{}, "host: the server closed the session without an exit status"},
		{"echo x; drop", "x\n", control.Exit{}, "host: connection lost (the server closed the connection); the command may still be running"},
	} {
		t.Run(c.command, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				out, exit, err := finish(r.open("host", c.command))
				if out != c.out || exit != c.exit {
					t.Errorf("%q, %+v", out, exit)
				}
				if c.text == "" && err != nil {
					t.Error(err)
				}
				if c.text != "" {
					wantError(t, err, control.Running, c.text)
				}
				if err != nil && err.Error() != c.text {
					t.Errorf("%q, want %q", err, c.text)
				}
			})
		})
	}
}

// A status that came ahead of a connection's end vouches for no output: sshd
// tells it as soon as the command ended, with more to send.
func TestLostBehindTheStatus(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		payload any
		text    string
	}{
		"status": {"exit-status", struct{ Status uint32 }{0}, "ended with status 0"},
		"signal": {"exit-signal", struct {
			Name          string
			Core          bool
			Message, Lang string
		}{"TERM", false, "", ""}, "was killed by signal TERM"},
	} {
		t.Run(name, func(t *testing.T) {
			half := func(s *sshtest.Session, _ []string) sshtest.Exit {
				io.WriteString(s.Out, "half")
				s.Request(c.request, ssh.Marshal(c.payload))
				s.Peer.Drop()
				return sshtest.Exit{Silent: true}
			}
			inBubble(t, sshtest.Options{Commands: map[string]sshtest.Command{"half": half}}, func(t *testing.T, r *rig) {
				out, exit, err := finish(r.open("host", "half"))
				want := "host: connection lost (the server closed the connection); the command " + c.text + ", some of its output may be missing"
				if out != "half" || exit != (control.Exit{}) || err == nil || err.Error() != want {
					t.Fatalf("%q, %+v, %v; want %q", out, exit, err, want)
				}
				wantError(t, err, control.Running, want)
			})
		})
	}
}

// A server that hangs up right behind the end of a session has said all.
func TestHungUpBehindTheSession(t *testing.T) {
	bye := func(s *sshtest.Session, _ []string) sshtest.Exit {
		io.WriteString(s.Out, "whole")
		s.Request("exit-status", ssh.Marshal(struct{ Status uint32 }{3}))
		s.Drop()
		s.Peer.Drop()
		return sshtest.Exit{Silent: true}
	}
	inBubble(t, sshtest.Options{Commands: map[string]sshtest.Command{"bye": bye}}, func(t *testing.T, r *rig) {
		for range 200 {
			if out, exit, err := finish(r.open("host", "bye")); out != "whole" || exit.Code != 3 || err != nil {
				t.Fatalf("%q, %+v, %v", out, exit, err)
			}
		}
	})
}

// An exit-signal brings more than its name.
func TestExitSignalInFull(t *testing.T) {
	die := func(s *sshtest.Session, _ []string) sshtest.Exit {
		s.Request("exit-signal", ssh.Marshal(struct {
			Name          string
			Core          bool
			Message, Lang string
		}{"SEGV", true, "oops", "en"}))
		return sshtest.Exit{Silent: true}
	}
	inBubble(t, sshtest.Options{Commands: map[string]sshtest.Command{"die": die}}, func(t *testing.T, r *rig) {
		_, exit, err := finish(r.open("host", "die"))
		if exit != (control.Exit{Signal: "SEGV", Core: true, Message: "oops"}) || err != nil {
			t.Errorf("%+v, %v", exit, err)
		}
	})
}

// What a server says wrong about the end is no end.
func TestMalformedExit(t *testing.T) {
	for _, name := range []string{"exit-status", "exit-signal"} {
		lie := func(s *sshtest.Session, _ []string) sshtest.Exit {
			s.Request(name, []byte{1, 2})
			return sshtest.Exit{Silent: true}
		}
		inBubble(t, sshtest.Options{Commands: map[string]sshtest.Command{"lie": lie}}, func(t *testing.T, r *rig) {
			_, _, err := finish(r.open("host", "lie"))
			wantError(t, err, control.Running, "without an exit status")
		})
	}
}

// A connection that dies before the command was handed over is replaced, once,
// and the server never sees the command twice.
func TestLostBeforeTheCommand(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  int // how many of the connections die at the open
		ok   bool
	}{{"once", 1, true}, {"twice", 2, false}} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sshtest.Options{OpenDelay: time.Second}, func(t *testing.T, r *rig) {
				go func() {
					for i := range c.cut {
						r.srv.Wait(t.Context(), i+1, sshtest.ChannelOpen, "session")
						r.srv.Last().Drop()
					}
				}()
				s, err := r.ask(t.Context(), nil, "host", "echo", "once")
				if c.ok {
					if err != nil {
						t.Fatal(err)
					}
					if out, _, err := finish(s); out != "once\n" || err != nil {
						t.Errorf("%q, %v", out, err)
					}
				} else {
					wantError(t, err, control.Lost, "host: connection lost (the server closed the connection)")
					if err.Error() != "host: connection lost (the server closed the connection)" {
						t.Errorf("%q", err)
					}
				}
				want := []string(nil)
				if c.ok {
					want = []string{"echo once"}
				}
				if got := r.execs(); !slices.Equal(got, want) {
					t.Errorf("the server was handed %q", got)
				}
				r.wantLogins(2)
			})
		})
	}
}

// Between exec and its answer nobody can know, so nothing is tried again.
func TestLostAfterTheCommand(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true")
		synctest.Wait()
		r.srv.Last().Pipe().Out().Slow(time.Second) // answers: open after 1 s, exec after 2 s
		go func() {
			r.srv.Wait(t.Context(), 2, sshtest.ChannelRequest, "exec")
			r.srv.Last().Pipe().Cut()
		}()
		_, err := r.ask(t.Context(), nil, "host", "echo", "once")
		wantError(t, err, control.Sent)
		if want := "host: connection lost (connection reset by peer); the command was sent and may have run"; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		time.Sleep(time.Minute)
		if got := r.execs(); !slices.Equal(got, []string{"true", "echo once"}) {
			t.Errorf("the server was handed %q", got)
		}
	})
}

func TestTheSilenceIsTold(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		pipe := r.silent()
		time.Sleep(5 * time.Second)
		pipe.Cut()
		_, _, err := finish(s)
		wantError(t, err, control.Running, "host: connection lost (connection reset by peer) after 5s of silence; the command may still be running")
	})
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		opts sshtest.Options
		args []string
		text string
	}{
		{sshtest.Options{RefuseExec: true}, []string{"host", "true"}, "host: the server refused to start the exec"},
		{sshtest.Options{RefuseExec: true}, []string{"host"}, "host: the server refused to start the shell"},
		{sshtest.Options{}, []string{"-s", "host", "nosuch"}, `host: the server has no subsystem "nosuch"`},
	} {
		inBubble(t, c.opts, func(t *testing.T, r *rig) {
			_, err := r.ask(t.Context(), nil, c.args...)
			wantError(t, err, control.Refused, c.text)
			r.wantLinks("ready")
			synctest.Wait()
			if n := len(r.host().status().Sessions); n != 0 {
				t.Errorf("%d sessions left", n)
			}
		})
	}
}

func TestSubsystemAndShell(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		for _, c := range []struct {
			args      []string
			in, out   string
			how, text string
		}{
			{[]string{"-s", "host", "echo"}, "abc", "abc", "subsystem", "echo"},
			{[]string{"host"}, "echo hi\nexit 0\n", "hi\n", "shell", ""},
		} {
			s := r.open(c.args...)
			io.WriteString(s, c.in)
			s.CloseWrite()
			if out, exit, err := finish(s); out != c.out || exit.Code != 0 || err != nil {
				t.Errorf("%q %v %v", out, exit, err)
			}
			all := r.srv.Sessions()
			if how, text := all[len(all)-1].Command(); how != c.how || text != c.text {
				t.Errorf("%s %q", how, text)
			}
		}
	})
}

// Environment goes out in the client's order, then what SetEnv says, before
// the command; and no answer is waited for.
func TestEnvironment(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.env = []string{"LC_B=2", "HOME=/home/me", "LC_A=1", "EMPTY=", "broken"}
		r.open("-o", "SendEnv=LC_* EMPTY", "-o", "SetEnv=Z=26 Y=a=b", "host", "true")
		if got, want := r.srv.Sessions()[0].Env(), []string{"LC_B=2", "LC_A=1", "EMPTY=", "Z=26", "Y=a=b"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		var kinds []string
		for _, e := range r.srv.Events(sshtest.ChannelRequest) {
			kinds = append(kinds, e.Name)
			if e.WantReply != (e.Name == "exec") {
				t.Errorf("%s wants a reply: %v", e.Name, e.WantReply)
			}
		}
		if got := strings.Join(kinds, " "); got != "env env env env env exec" {
			t.Error(got)
		}
	})
}

// A command costs two round trips on a connection that stands, a terminal one
// more.
// Environment costs no round trip anywhere, and with a server that bears a channel
// opened ahead of use the next command is started in one; a terminal costs one
// more.
func TestRoundTrips(t *testing.T) {
	const rtt = 100 * time.Millisecond
	for version, want := range map[string]struct{ first, next, terminal int }{
		"SSH-2.0-OpenSSH_9.2": {2, 1, 2}, "SSH-2.0-OpenSSH_for_Windows_8.1": {2, 1, 2}, "SSH-2.0-dropbear": {2, 2, 3},
	} {
		inBubble(t, sshtest.Options{Version: version}, func(t *testing.T, r *rig) {
			r.env = []string{"LC_A=1", "LC_B=2"}
			if _, err := r.held(nil, "host"); err != nil {
				t.Fatal(err)
			}
			r.srv.Last().Pipe().Slow(rtt / 2)
			for _, c := range []struct {
				args string
				want int
			}{{"host true", want.first}, {"host true", want.next}, {"host true", want.next}, {"-tt host true", want.terminal}, {"-s host sftp", want.next}} {
				start := time.Now()
				s := r.open(append([]string{"-o", "SendEnv=LC_*"}, strings.Fields(c.args)...)...)
				if d := time.Since(start); d != time.Duration(c.want)*rtt {
					t.Errorf("%s, %s: %v, want %d round trips", version, c.args, d, c.want)
				}
				s.Close()
				time.Sleep(2 * spareAfter) // and not a moment less: the spare is asked for a moment after the command
			}
		})
	}
}

func TestTerminal(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		plan, err := r.m.Resolve(t.Context(), &control.Invocation{Args: []string{"host"}, Env: []string{"TERM=vt100"}, TTY: [3]bool{true, true, true},
			Size: control.Window{Cols: 80, Rows: 24, Width: 640, Height: 480}, Modes: []byte{128, 0, 0, 0x96, 0, 53, 0, 0, 0, 1, 0}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		st, err := r.m.Session(t.Context(), plan.Session, nil)
		if err != nil || !st.TTY() {
			t.Fatal(err, "or no terminal")
		}
		far := r.srv.Sessions()[0]
		p := far.PTY()
		if p.Term != "vt100" || p.Window != (sshtest.Window{Columns: 80, Rows: 24, Width: 640, Height: 480}) || p.Modes[128] != 0x9600 || p.Modes[53] != 1 {
			t.Errorf("%+v", p)
		}
		st.Resize(control.Window{Cols: 100, Rows: 50, Width: 1, Height: 2})
		st.Resize(control.Window{Cols: 101, Rows: 51})
		synctest.Wait()
		if w := far.Windows(); !slices.Equal(w, []sshtest.Window{{Columns: 100, Rows: 50, Width: 1, Height: 2}, {Columns: 101, Rows: 51}}) {
			t.Errorf("%+v", w)
		}
		if n := r.host().status().Sessions; len(n) != 1 || !n[0].TTY || n[0].Kind != "shell" {
			t.Errorf("%+v", n)
		}
		st.Close()
	})
}

func TestTerminalWithoutModesOrRefused(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("-tt", "host", "tty")
		if out, _, _ := finish(s); !s.TTY() || out != " 0x0\n" {
			t.Errorf("%v %q", s.TTY(), out)
		}
		r.srv.Update(func(o *sshtest.Options) { o.RefusePTY = true })
		s = r.open("-tt", "host", "tty")
		s.Resize(control.Window{Cols: 1})
		if out, _, _ := finish(s); s.TTY() || out != "not a tty\n" {
			t.Errorf("%v %q", s.TTY(), out)
		}
		if n := r.srv.Count(sshtest.ChannelRequest, "window-change"); n != 0 {
			t.Errorf("%d window changes without a window", n)
		}
	})
}

func TestSignals(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "wait-signal; wait-signal")
		s.Signal("INT")
		s.Signal(control.Break)
		s.Signal("USR1") // ends the command, and what follows it would go nowhere
		if out, exit, err := finish(s); out != "INT\nUSR1\n" || exit.Code != 0 || err != nil {
			t.Errorf("%q %v %v", out, exit, err)
		}
		for _, e := range r.srv.Events(sshtest.ChannelRequest) {
			if e.WantReply != (e.Name == "exec") {
				t.Errorf("%s wants a reply: %v", e.Name, e.WantReply)
			}
			if e.Name == "break" && string(e.Payload) != "\x00\x00\x03\xe8" {
				t.Errorf("break %q", e.Payload)
			}
		}
		if n := r.srv.Count(sshtest.ChannelRequest, "break"); n != 1 {
			t.Errorf("%d breaks", n)
		}
	})
}

// OpenSSH's servers are told that nobody reads any more; others, who would not
// understand, lose the channel.
func TestCloseRead(t *testing.T) {
	for version, eow := range map[string]bool{"SSH-2.0-OpenSSH_9.9": true, "SSH-2.0-dropbear": false} {
		inBubble(t, sshtest.Options{Version: version}, func(t *testing.T, r *rig) {
			s := r.open("host", "cat")
			s.CloseRead()
			synctest.Wait()
			if got := r.srv.Count(sshtest.ChannelRequest, "eow@openssh.com") == 1; got != eow {
				t.Errorf("%s: eow %v", version, got)
			}
			if got := r.srv.Count(sshtest.ChannelFinished, "") == 0; got != eow {
				t.Errorf("%s: open %v", version, got)
			}
			r.wantLinks("ready")
			s.Close()
		})
	}
}

// The server's own eow ends what is written to it, and nothing else.
func TestServerTakesNoMoreInput(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "eow; sleep 1s; echo done")
		synctest.Wait()
		if _, err := s.Write([]byte("x")); err != io.ErrClosedPipe {
			t.Error(err)
		}
		if out, exit, err := finish(s); out != "done\n" || exit.Code != 0 || err != nil {
			t.Errorf("%q %v %v", out, exit, err)
		}
	})
}

func TestACommandThatIsTooLong(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		fits, tooLong := strings.Repeat("x", maxRequest), strings.Repeat("x", maxRequest+1)
		_, err := r.ask(t.Context(), nil, "host", tooLong)
		wantError(t, err, control.NotDialled, "host: the command is 261121 bytes long", "pass it on stdin")
		_, err = r.ask(t.Context(), nil, "-o", "SetEnv=BIG="+tooLong, "host", "true")
		wantError(t, err, control.NotDialled, `host: the environment variable "BIG" is 261125 bytes long`)
		if n := r.srv.Count(sshtest.Dialled, ""); n != 0 {
			t.Errorf("%d dials", n)
		}
		s := r.open("host", "echo "+fits[5:])
		if out, _, err := finish(s); len(out) != maxRequest-5+1 || err != nil {
			t.Errorf("%d bytes, %v", len(out), err)
		}
		_, err = r.ask(t.Context(), nil, "host", tooLong)
		wantError(t, err, control.NotDialled)
		r.wantLinks("ready")
		if n := len(r.execs()); n != 1 {
			t.Errorf("%d commands", n)
		}
	})
}

func TestMeterAndStatus(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		q, since := r.request("host", "cat"), time.Now()
		q.PID = 42
		s, err := r.m.Session(t.Context(), q, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Bytes.In.Store(3)
		q.Bytes.Out.Store(4)
		time.Sleep(time.Second)
		st := r.host().status()
		if len(st.Sessions) != 1 || st.Sessions[0] != (control.SessionStatus{PID: 42, Kind: "exec", Since: since, In: 3, Out: 4, Command: "cat"}) {
			t.Errorf("%+v", st.Sessions)
		}
		if l := st.Links[0]; l.Sessions != 1 || l.In == 0 || l.Out == 0 || l.Server != "SSH-2.0-sshtest" || l.Remote != "192.0.2.2:22" || l.Auth == "" {
			t.Errorf("%+v", l)
		}
		s.Close()
	})
}
