package sshtest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestCommands(t *testing.T) {
	for _, test := range []struct {
		command, in, out, err string
		status                int
	}{
		{"echo a  b", "", "a b\n", "", 0},
		{"stderr oh no; exit 3", "", "", "oh no\n", 3},
		{"exit 7; echo never", "", "", "", 7},
		{"exit many", "", "", "", 255},
		{"cat", "line\n", "line\n", "", 0},
		{"head-c 3", "abcdef", "abc", "", 0},
		{"head-c 9", "abc", "abc", "", 1},
		{"env", "", "", "", 0},
		{"tty", "", "not a tty\n", "", 0},
		{"sleep 1h; echo done", "", "done\n", "", 0},
		{"sleep soon", "", "", "time: invalid duration \"soon\"\n", 1},
		{"unknown", "", "", "unknown: command not found\n", 127},
		{"unknown; echo on", "", "on\n", "unknown: command not found\n", 0},
		{"", "", "", "", 0},
		{"mine x y", "", "2 args\n", "", 9},
	} {
		mine := func(s *Session, args []string) Exit {
			io.WriteString(s.Out, string(rune('0'+len(args)))+" args\n")
			return Exit{Status: 9}
		}
		served(t, Options{Commands: map[string]Command{"mine": mine}}, func(t *testing.T, s *Server, c *ssh.Client) {
			session := newSession(t, c)
			var out, stderr bytes.Buffer
			session.Stdin, session.Stdout, session.Stderr = strings.NewReader(test.in), &out, &stderr
			err := session.Run(test.command)
			status := 0
			if exit := (*ssh.ExitError)(nil); errors.As(err, &exit) {
				status = exit.ExitStatus()
			} else if err != nil {
				t.Errorf("%s: %v", test.command, err)
			}
			if out.String() != test.out || stderr.String() != test.err || status != test.status {
				t.Errorf("%s: %q %q %d", test.command, out.String(), stderr.String(), status)
			}
			if how, text := s.Sessions()[0].Command(); how != "exec" || text != test.command {
				t.Errorf("recorded %q %q", how, text)
			}
		})
	}
}

func TestCommandsThatEndOddly(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		var exit *ssh.ExitError
		if err := newSession(t, c).Run("kill SEGV"); !errors.As(err, &exit) || exit.Signal() != "SEGV" {
			t.Errorf("kill: %v", err)
		}
		var missing *ssh.ExitMissingError
		if err := newSession(t, c).Run("noexit"); !errors.As(err, &missing) {
			t.Errorf("noexit: %v", err)
		}
		if _, _, err := c.SendRequest("still here", true, nil); err != nil {
			t.Errorf("noexit took the connection along: %v", err)
		}
		if err := newSession(t, c).Run("drop"); !errors.As(err, &missing) {
			t.Errorf("drop: %v", err)
		}
		if err := c.Wait(); err != io.EOF {
			t.Errorf("after drop: %v", err)
		}
		if err := s.Wait(t.Context(), 1, Disconnected, ""); err != nil {
			t.Error(err)
		}
	})
}

func TestSleepIsVirtual(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		start := time.Now()
		newSession(t, c).Run("sleep 90m")
		if d := time.Since(start); d != 90*time.Minute {
			t.Errorf("slept %v", d)
		}
	})
}

func TestSignalsKillUnlessWaitedFor(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		for _, command := range []string{"sleep 1h", "cat", "yes"} {
			session := newSession(t, c)
			session.StdinPipe()  // open, for cat
			session.StdoutPipe() // unread: a bubble that is never idle has no time
			session.Start(command)
			time.Sleep(time.Second)
			session.Signal(ssh.SIGTERM)
			var exit *ssh.ExitError
			if err := session.Wait(); !errors.As(err, &exit) || exit.Signal() != "TERM" {
				t.Errorf("%s: %v", command, err)
			}
		}
		session := newSession(t, c)
		out, _ := session.StdoutPipe()
		session.Start("wait-signal; wait-signal")
		session.Signal(ssh.SIGINT)
		session.Signal(ssh.Signal("WINCH"))
		if text, err := io.ReadAll(out); string(text) != "INT\nWINCH\n" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		if err := session.Wait(); err != nil {
			t.Error(err)
		}
		if got := s.Sessions()[3].Signals(); !slices.Equal(got, []string{"INT", "WINCH"}) {
			t.Errorf("recorded %q", got)
		}
	})
}

func TestTerminalAndEnvironment(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		session := newSession(t, c)
		session.Setenv("B", "2")
		session.Setenv("A", "1")
		session.RequestPty("xterm", 24, 80, ssh.TerminalModes{ssh.ECHO: 0, ssh.VINTR: 3})
		session.WindowChange(50, 132)
		out, err := session.Output("env; tty")
		if want := "A=1\nB=2\nxterm 132x50 1=3 53=0\n"; string(out) != want || err != nil {
			t.Errorf("%q, %v", out, err)
		}
		got := s.Sessions()[0]
		if !slices.Equal(got.Env(), []string{"B=2", "A=1"}) || len(got.Windows()) != 1 || got.PTY().Window.Rows != 50 {
			t.Errorf("%v %v %v", got.Env(), got.Windows(), got.PTY())
		}
	})
}

func TestShellReadsLines(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		session := newSession(t, c)
		var out bytes.Buffer
		session.Stdin, session.Stdout = strings.NewReader("echo one\ncat\nrest\n"), &out
		session.Shell()
		if err := session.Wait(); err != nil || out.String() != "one\nrest\n" {
			t.Errorf("%q, %v", out.String(), err)
		}
		session = newSession(t, c)
		session.Stdin = strings.NewReader("exit 5\necho never\n")
		session.Shell()
		var exit *ssh.ExitError
		if err := session.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 5 {
			t.Error(err)
		}
	})
}

func TestSubsystems(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		session := newSession(t, c)
		in, _ := session.StdinPipe()
		out, _ := session.StdoutPipe()
		if err := session.RequestSubsystem("echo"); err != nil {
			t.Fatal(err)
		}
		io.WriteString(in, "back")
		in.Close()
		if text, _ := io.ReadAll(out); string(text) != "back" {
			t.Errorf("%q", text)
		}
		if err := newSession(t, c).RequestSubsystem("none"); err == nil {
			t.Error("there is a subsystem none")
		}
	})
}

func TestRefusals(t *testing.T) {
	opts := Options{RefuseExec: true, RefusePTY: true, RefuseEnv: true}
	served(t, opts, func(t *testing.T, s *Server, c *ssh.Client) {
		session := newSession(t, c)
		if session.Setenv("A", "1") == nil || session.RequestPty("x", 1, 1, nil) == nil || session.Start("true") == nil {
			t.Error("granted")
		}
		s.Update(func(o *Options) { *o = Options{} })
		if err := session.Setenv("A", "1"); err != nil {
			t.Errorf("an option marked live is not: %v", err)
		}
		if err := session.Run("exit 0"); err != nil {
			t.Error(err)
		}
	})
}

func TestMaxSessionsRefusesAsSSHDDoes(t *testing.T) {
	served(t, Options{MaxSessions: 2}, func(t *testing.T, s *Server, c *ssh.Client) {
		first := newSession(t, c)
		newSession(t, c)
		var why *ssh.OpenChannelError
		if _, err := c.NewSession(); !errors.As(err, &why) || why.Reason != ssh.ConnectionFailed || why.Message != "open failed" {
			t.Errorf("third session: %v", err)
		}
		first.Close()
		synctest.Wait()
		newSession(t, c)
		s.Update(func(o *Options) { o.MaxSessions = -1 })
		if _, err := c.NewSession(); err == nil {
			t.Error("a session where none is allowed")
		}
		if n := s.Count(ChannelRefused, "session"); n != 2 {
			t.Errorf("%d refusals recorded", n)
		}
	})
}

func TestYesFillsTheWindowAndNoMore(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		ch, requests, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(requests)
		ch.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"yes"}))
		time.Sleep(time.Hour)
		if n := s.Last().Pipe().Out().Delivered(); n < 2<<20 || n > 3<<20 {
			t.Errorf("%d bytes for an unread window of 2 MiB", n)
		}
		ch.Close()
	})
}

func TestEOWIsSent(t *testing.T) {
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		ch, requests, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		go ch.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"eow"}))
		var seen []string
		for r := range requests {
			seen = append(seen, r.Type)
		}
		if !slices.Equal(seen, []string{"eow@openssh.com", "exit-status"}) {
			t.Errorf("%q", seen)
		}
	})
}
