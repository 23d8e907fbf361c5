package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/client"
	"muxd/control/controltest"
	"muxd/internal/sshtest"
	"muxd/socket"
)

func TestCommands(t *testing.T) {
	o := at(t, sshtest.Options{})
	o.write("config", "UserKnownHostsFile "+o.home+"/known_hosts\nIdentityFile none\nSendEnv FROM_CONF\nSetEnv SET=conf\n"+
		"RemoteCommand exit 9\nRequestTTY force\nStdinNull yes\nPermitLocalCommand yes\nLocalCommand echo never >&2\n")
	t.Setenv("FROM_CONF", "c")
	c := client.New("host")
	for _, tt := range []struct {
		name, line, stdin, out, stderr string
		env                            []string
		want                           string // of the error
	}{
		{name: "output", line: "echo a b", out: "a b\n"},
		{name: "both outputs", line: "echo a; stderr b", out: "a\n", stderr: "b\n"},
		{name: "input", line: "cat", stdin: strings.Repeat("0123456789", 200_000), out: strings.Repeat("0123456789", 200_000)},
		{name: "no input", line: "cat"},
		{name: "input that is not taken", line: "head-c 3", stdin: strings.Repeat("abc", 1_000_000), out: "abc"},
		{name: "a shell", line: "", stdin: "echo one\necho two\nexit 4\n", out: "one\ntwo\n", want: "host: exit status 4"},
		{name: "no terminal", line: "tty", out: "not a tty\n"},
		{name: "status", line: "exit 3", want: "host: exit status 3"},
		{name: "signal", line: "kill KILL", want: "host: killed by signal KILL"},
		{name: "environment", line: "env", env: []string{`A=1 "2" %h ${HOME} '$x' \`, "B=", "FROM_CONF=own", "SET=own"},
			out: "A=1 \"2\" %h ${HOME} '$x' \\\nB=\nFROM_CONF=c\nFROM_CONF=own\nSET=conf\nSET=own\n"},
		{name: "a name that is a pattern", line: "env", env: []string{"A*=1"}, want: "host: an environment variable that cannot be sent: A*"},
		{name: "no name", line: "env", env: []string{"PATH"}, want: "host: an environment variable that cannot be sent: PATH"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			k := c.Command(t.Context(), tt.line)
			k.Env, k.Stdout, k.Stderr = tt.env, &out, &stderr
			if tt.stdin != "" {
				k.Stdin = strings.NewReader(tt.stdin)
			}
			err := k.Run()
			if got := fmt.Sprint(err); got != tt.want && !(err == nil && tt.want == "") {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if out.String() != tt.out || stderr.String() != tt.stderr {
				t.Errorf("%.100q and %q, want %.100q and %q", out.String(), stderr.String(), tt.out, tt.stderr)
			}
			if again := k.Start(); again == nil {
				t.Error("it starts twice")
			}
		})
	}
	if n := o.srv.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
	for _, s := range o.srv.Sessions() {
		want := []string{"FROM_CONF=c", `A=1 "2" %h ${HOME} '$x' \`, "B=", "FROM_CONF=own", "SET=own", "SET=conf"}
		if env := s.Env(); slices.Contains(env, "B=") && !slices.Equal(env, want) { // of a name the last one holds
			t.Errorf("in this order: %q", env)
		}
	}
}

func TestOutput(t *testing.T) {
	at(t, sshtest.Options{})
	c := client.New("host")
	out, err := c.Command(t.Context(), "echo a; stderr why; exit 2").Output()
	var x *client.ExitError
	if !errors.As(err, &x) || x.ExitCode() != 2 || string(x.Stderr) != "why\n" || string(out) != "a\n" || !client.MayHaveRun(err) {
		t.Errorf("%q, %+v", out, err)
	}
	if _, err = c.Command(t.Context(), "kill SEGV").Output(); !errors.As(err, &x) || x.ExitCode() != -1 || x.Signal != "SEGV" {
		t.Errorf("%+v", err)
	}
	if out, err = c.Subsystem(t.Context(), "none").Output(); err == nil || client.MayHaveRun(err) {
		t.Errorf("a subsystem that there is none of: %q, %v", out, err)
	}
	k := c.Subsystem(t.Context(), "echo")
	k.Stdin = strings.NewReader("back")
	if out, err = k.Output(); string(out) != "back" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

// One Client for many goroutines: one login, and no byte in another's output.
func TestManyCommandsAtOnce(t *testing.T) {
	o := at(t, sshtest.Options{})
	c := client.New("host")
	var wg sync.WaitGroup
	for n := range 30 {
		wg.Go(func() {
			in := strings.Repeat(fmt.Sprintf("%02d", n), 20_000)
			k := c.Command(t.Context(), "cat")
			k.Stdin = strings.NewReader(in)
			if out, err := k.Output(); err != nil || string(out) != in {
				t.Errorf("%d: %d bytes, %v", n, len(out), err)
			}
		})
	}
	wg.Wait()
	if n := o.srv.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// A conversation, each part of it when it comes.
func TestPipes(t *testing.T) {
	at(t, sshtest.Options{})
	k := client.New("host").Command(t.Context(), "cat")
	in, err := k.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := k.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.StdinPipe(); err == nil {
		t.Error("two pipes for one input")
	}
	if err := k.Wait(); err == nil {
		t.Error("it has ended before it began")
	}
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	for range 3 {
		if _, err := io.WriteString(in, "ping"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, b); err != nil || string(b) != "ping" {
			t.Fatalf("%q, %v", b, err)
		}
	}
	in.Close()
	if n, err := out.Read(b); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
	if err := k.Wait(); err != nil {
		t.Error(err)
	}
	if err := k.Signal("TERM"); !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	if _, err := in.Write(b); err != io.ErrClosedPipe {
		t.Error(err)
	}
}

// A pipe that is closed is a reader that has left: the command ends by that.
func TestClosedPipe(t *testing.T) {
	at(t, sshtest.Options{})
	k := client.New("host").Command(t.Context(), "yes")
	out, err := k.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	io.ReadFull(out, make([]byte, 100))
	out.Close()
	if err := k.Wait(); err == nil {
		t.Error("an endless command has ended well")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// What goes wrong here is told too, and never as success.
func TestReadersAndWritersThatFail(t *testing.T) {
	at(t, sshtest.Options{})
	c, mine := client.New("host"), errors.New("disk full")
	k := c.Command(t.Context(), "cat")
	k.Stdin = io.MultiReader(strings.NewReader("half"), failing{mine})
	if out, err := k.Output(); string(out) != "half" || err != mine {
		t.Errorf("%q, %v", out, err)
	}
	k = c.Command(t.Context(), "yes")
	k.Stdout = failing{mine}
	if err := k.Run(); !errors.Is(err, mine) || err == mine || !strings.HasSuffix(err.Error(), "; disk full") {
		t.Error(err)
	}
}

// phaseOf fails the test unless err has a phase, and returns it.
func phaseOf(t *testing.T, err error) control.ErrorPhase {
	t.Helper()
	var e *control.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v has no phase", err)
	}
	if client.MayHaveRun(err) != (e.Phase >= control.Sent) {
		t.Errorf("%v: MayHaveRun is %v in phase %v", err, client.MayHaveRun(err), e.Phase)
	}
	return e.Phase
}

// A command that is lost is an error, at its pipes too, and not run again.
func TestLostCommand(t *testing.T) {
	o := at(t, sshtest.Options{})
	for _, line := range []string{"echo a; drop", "echo a; noexit"} {
		k := client.New("host").Command(t.Context(), line)
		out, err := k.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		in, err := k.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Start(); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(out)
		if string(b) != "a\n" || phaseOf(t, err) != control.Running {
			t.Errorf("%s: %q, %v", line, b, err)
		}
		if err := k.Wait(); phaseOf(t, err) != control.Running {
			t.Errorf("%s: %v", line, err)
		}
		if _, err := in.Write(b); phaseOf(t, err) != control.Running {
			t.Errorf("%s: %v", line, err)
		}
	}
	if n := o.srv.Count(sshtest.ChannelRequest, "exec"); n != 2 {
		t.Errorf("%d commands ran", n)
	}
}

// How far a command had come when its context ended is what muxd says, which
// knows: a host that cannot be reached has run nothing.
func TestContextEndsCommand(t *testing.T) {
	o := at(t, sshtest.Options{DialDelay: time.Hour})
	c := client.New("host")
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan error, 1)
	go func() { started <- c.Command(ctx, "true").Start() }()
	waitFor(t, o.srv, 1, sshtest.Dialled, "")
	cancel()
	err := controltest.Get(t, started)
	if !errors.Is(err, context.Canceled) || client.MayHaveRun(err) || err.Error() != "host: context canceled" {
		t.Errorf("phase %v: %v", phaseOf(t, err), err)
	}
	if err := c.Command(ctx, "true").Run(); phaseOf(t, err) != control.NotDialled || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	o.srv.Update(func(o *sshtest.Options) { o.DialDelay = 0 })

	ctx, cancel = context.WithCancel(t.Context())
	k := c.Command(ctx, "wait-signal; sleep 1h")
	out, err := k.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	cancel()
	err = k.Wait()
	if phaseOf(t, err) != control.Running || !errors.Is(err, context.Canceled) ||
		err.Error() != "host: context canceled; the command may still be running" {
		t.Error(err)
	}
	if _, err := io.ReadAll(out); !errors.Is(err, context.Canceled) {
		t.Errorf("the pipe: %v", err)
	}
	waitFor(t, o.srv, 1, sshtest.ChannelFinished, "")
	if s := o.srv.Sessions(); len(s) != 1 || !slices.Contains(s[0].Signals(), "TERM") {
		t.Errorf("%d sessions\n%s", len(s), o.srv.Dump())
	}
}

func waitFor(t *testing.T, srv *sshtest.Server, n int, kind sshtest.Kind, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := srv.Wait(ctx, n, kind, name); err != nil {
		t.Fatalf("%v\n%s", err, srv.Dump())
	}
}

// The context ends, or muxd does, between the handing over and the answer.
func TestCommandThatMayHaveRun(t *testing.T) {
	asked := make(chan struct{}, 1)
	m := up(t, func(m *muxd) {
		m.OnResolve = func(_ context.Context, v *control.Invocation, _ control.Prompter) (*control.Plan, error) {
			return &control.Plan{Host: "host", Session: &control.SessionRequest{Kind: control.Exec, Command: v.Args[len(v.Args)-1]}}, nil
		}
		m.OnSession = func(ctx context.Context, r *control.SessionRequest, _ control.Prompter) (control.Stream, error) {
			if r.Command == "runs" {
				return controltest.NewStream(false), nil
			}
			asked <- struct{}{}
			<-ctx.Done()
			return nil, &control.Error{Phase: control.Sent, Host: "host", Text: "the command was sent and may have run"}
		}
	})
	c := client.New("host")
	for _, end := range []string{"context", "muxd"} {
		ctx, cancel := context.WithCancel(t.Context())
		started := make(chan error, 1)
		go func() { started <- c.Command(ctx, "sent").Start() }()
		controltest.Get(t, asked)
		if end == "muxd" {
			m.dies()
		} else {
			cancel()
		}
		err := controltest.Get(t, started)
		if phaseOf(t, err) != control.Sent || errors.Is(err, context.Canceled) != (end == "context") {
			t.Errorf("%s ends: %v", end, err)
		}
		cancel()
	}
	k := c.Command(t.Context(), "runs")
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	m.dies()
	if err := k.Wait(); phaseOf(t, err) != control.Running || !errors.Is(err, control.ErrGone) {
		t.Error(err)
	}
}

// What a muxd refuses that drains is asked of the next one, unless it may have
// been begun, or every one refuses it.
func TestCommandMeetsDrain(t *testing.T) {
	var asked atomic.Int32
	for _, tt := range []struct {
		refusals, tries int32
		phase           control.ErrorPhase // of them
		want            string
	}{
		{1, 2, control.Refused, ""},
		{9, 3, control.NotDialled, "host: it drains"},
		{1, 1, control.Sent, "host: it drains"},
	} {
		asked.Store(0)
		m := new(muxd)
		m.OnResolve = func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
			return &control.Plan{Host: "host", Session: new(control.SessionRequest)}, nil
		}
		m.OnSession = func(context.Context, *control.SessionRequest, control.Prompter) (control.Stream, error) {
			if asked.Add(1) <= tt.refusals {
				return nil, &control.Error{Phase: tt.phase, Host: "host", Text: "it drains", Elsewhere: true}
			}
			s := controltest.NewStream(false)
			s.End(control.Exit{}, nil)
			return s, nil
		}
		m.start()
		err := client.New("host").Command(t.Context(), "true").Run()
		if n := asked.Load(); n != tt.tries || fmt.Sprint(err) != tt.want && (err != nil || tt.want != "") {
			t.Errorf("%d refusals in phase %v: asked %d times, %v", tt.refusals, tt.phase, n, err)
		}
		if err != nil && phaseOf(t, err) != tt.phase {
			t.Error(err)
		}
		m.stop()
	}
}

// The pipes of a command that the next muxd takes are its pipes there.
func TestPipesMeetDrain(t *testing.T) {
	var refused atomic.Bool
	m := new(muxd)
	m.OnResolve = func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
		return &control.Plan{Host: "host", Session: new(control.SessionRequest)}, nil
	}
	m.OnSession = func(context.Context, *control.SessionRequest, control.Prompter) (control.Stream, error) {
		if !refused.Swap(true) {
			return nil, &control.Error{Phase: control.Refused, Host: "host", Text: "it drains", Elsewhere: true}
		}
		s := controltest.NewStream(false)
		go func() { io.Copy(s.Out, s.In); s.End(control.Exit{}, nil) }()
		return s, nil
	}
	m.start()
	defer m.stop()
	k := client.New("host").Command(t.Context(), "cat")
	in, _ := k.StdinPipe()
	out, _ := k.StdoutPipe()
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { io.WriteString(in, "ping"); in.Close() }()
	if b, err := io.ReadAll(out); string(b) != "ping" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if err := k.Wait(); err != nil {
		t.Error(err)
	}
}

// A muxd that is stopped keeps nobody for long whose context has ended. Whether
// it took the request is not known.
func TestStoppedMuxd(t *testing.T) {
	l, err := socket.Listen(socket.At(os.Getenv("MUXD_SOCKET")))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer client.SetAnswerTime(client.SetAnswerTime(50 * time.Millisecond))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			c.Read(make([]byte, 1))
			cancel()
			<-t.Context().Done()
		}
	}()
	started := make(chan error, 1)
	go func() { started <- client.New("host").Command(ctx, "true").Start() }()
	if err := controltest.Get(t, started); phaseOf(t, err) != control.Sent || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What muxd says before there is a session, and options that ask for none.
func TestCommandsThatDoNotStart(t *testing.T) {
	o := at(t, sshtest.Options{RefuseExec: true})
	for _, tt := range []struct {
		opts  []string
		phase control.ErrorPhase
		want  string
	}{
		{nil, control.Refused, "host: the server refused"},
		{[]string{"-G"}, control.NotDialled, "host: the options ask for something else than a command"},
		{[]string{"-o", "NoSuch=1"}, control.NotDialled, "Bad configuration option"},
		{[]string{"-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes"}, control.Refused, "host"},
	} {
		out, err := client.New("host", tt.opts...).Command(t.Context(), "echo x").Output()
		if len(out) > 0 || phaseOf(t, err) != tt.phase || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %q, phase %v: %v", tt.opts, out, phaseOf(t, err), err)
		}
	}
	if n := o.srv.Count(sshtest.ChannelRequest, "exec"); n != 1 {
		t.Errorf("%d commands were sent", n)
	}
	o.stop()
	k := client.New("host").Command(t.Context(), "x")
	out, err := k.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = k.Start()
	if _, perr := io.ReadAll(out); phaseOf(t, err) != control.NotDialled || perr != err {
		t.Errorf("%v, and %v at the pipe", err, perr)
	}
}
