package main

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/control/controltest"
	"muxd/internal/getopt"
	"muxd/internal/sshtest"
	"muxd/socket"
)

// newPassing is a scripted muxd that answers every command line with a plan of
// -W that passes the connection on; far is what the connection is to.
func newPassing(t *testing.T, far func(st *controltest.Stream)) *scripted {
	t.Helper()
	return newScripted(t, control.Plan{}, nil, func(s *scripted) {
		s.b.OnResolve = func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
			return &control.Plan{Host: "box", Escape: control.NoEscape, FdPass: true, Direct: &control.DirectRequest{}}, nil
		}
		s.b.OnDirect = func(context.Context, *control.DirectRequest, control.Prompter) (control.Stream, error) {
			st := controltest.NewStream(false)
			st.Err.Close()
			go far(st)
			return st, nil
		}
	})
}

// echoing sends back what comes.
func echoing(st *controltest.Stream) {
	io.Copy(st.Out, st.In)
	st.End(control.Exit{}, nil)
}

// outSocket is a socket to be a process's standard output, as ssh makes it, and
// the end that ssh keeps.
func outSocket(t *testing.T) (far int, out *os.File) {
	t.Helper()
	kept, out, err := socket.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.Close(); out.Close() })
	return int(kept.Fd()), out
}

// passedTo is the descriptor in the one message that came, and how many more
// bytes came.
func passedTo(t *testing.T, fd int) net.Conn {
	t.Helper()
	b, oob := make([]byte, 10), make([]byte, unix.CmsgSpace(4*4))
	n, oobn, _, _, err := unix.Recvmsg(fd, b, oob, unix.MSG_CMSG_CLOEXEC)
	if n != 1 || b[0] != 0 || err != nil {
		t.Fatalf("%d bytes %q, %v", n, b[:max(n, 0)], err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		t.Fatalf("%d messages, %v", len(msgs), err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("descriptors %v, %v", fds, err)
	}
	f := os.NewFile(uintptr(fds[0]), "passed")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(long))
	return c
}

// TestFdPass: muxc passes a connected socket on and ends well, and the
// connection goes on without it.
func TestFdPass(t *testing.T) {
	t.Parallel()
	s := newPassing(t, echoing)
	far, out := outSocket(t)
	c := s.command("muxc", "-o", "fdpass yes", "-W", "[far]:22", "box")
	c.Stdout = out
	s.run(c, nil).is(t, "", "", 0)
	out.Close()
	conn := passedTo(t, far)
	if n, err := unix.Read(far, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("after it came %d bytes, %v", n, err)
	}
	text := strings.Repeat("0123456789", 1000)
	io.WriteString(conn, text)
	conn.(*net.UnixConn).CloseWrite()
	if b, err := io.ReadAll(conn); string(b) != text || err != nil {
		t.Errorf("%d bytes came back, %v", len(b), err)
	}
}

// TestFdPassErrors: one line and status 255, and nothing for ssh to receive.
func TestFdPassErrors(t *testing.T) {
	t.Parallel()
	s := newPassing(t, echoing)
	s.run(s.command("muxc", "-o", "FdPass=yes", "-W", "far:22", "box"), nil).fails(t, "box: FdPass: standard output is no socket")
	if n := len(s.invocations()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	// muxd says so where muxc cannot know.
	s.run(s.command("muxc", "-W", "far:22", "box"), nil).fails(t, "box: FdPass wants a socket as standard output, and to stand on the command line")
	// Nobody waits for the connection any more.
	far, out := outSocket(t)
	c := s.command("muxc", "-o", "FdPass=yes", "-W", "far:22", "box")
	c.Stdout = out
	unix.Shutdown(far, unix.SHUT_RD)
	s.run(c, nil).fails(t, "box: passing the connection on: sendmsg: broken pipe")
}

// TestFdPassOfASession is refused by muxd; where muxd finds no FdPass in it, the
// command line is a mistake too.
func TestFdPassOfASession(t *testing.T) {
	t.Parallel()
	s := newScripted(t, control.Plan{}, nil)
	_, out := outSocket(t)
	c := s.command("muxc", "-o", "FdPass=yes", "box", "true")
	c.Stdout = out
	s.run(c, nil).fails(t, "box: a descriptor came with a request that opens no connection of -W")
}

// TestConnectionPassedToSSH: ssh itself, through a connection that muxc passes to it.
func TestConnectionPassedToSSH(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh")
	sshd := sshtest.StartSSHD(t)
	s := newPassing(t, func(st *controltest.Stream) {
		nc, err := net.Dial("tcp", sshd.Addr)
		if err != nil {
			st.End(control.Exit{}, err)
			return
		}
		go func() { io.Copy(nc, st.In); nc.(*net.TCPConn).CloseWrite() }()
		io.Copy(st.Out, nc)
		st.End(control.Exit{}, nil)
	})
	s.sshd, s.cfg = sshd, sshd.ClientConfig(t, "box")
	ssh := s.command("ssh", "-F", s.cfg, "-o", "ProxyUseFdpass=yes", "-o", "ProxyCommand="+bin+"/muxc -o FdPass=yes -W [%h]:%p bastion",
		"box", "cat; seq 100000; exit 7")
	r := s.run(ssh, strings.NewReader(strings.Repeat("x", 1<<20)))
	if want := 1<<20 + 588895; r.code != 7 || len(r.out) != want || r.err != "" {
		t.Errorf("exit %d, %d bytes of %d, stderr %q", r.code, len(r.out), want, r.err)
	}
}

func TestOptionOfCommandLine(t *testing.T) {
	for _, tt := range []struct {
		args string
		pass bool
	}{
		{"-o FdPass=yes h", true}, {"-oFdPass=yes h", true}, {"-o fdpass=TRUE h", true}, {`-o fdpass="yes" h`, true},
		{"-o FdPass=no -o FdPass=yes h", false}, {"-o ProxyUseFdpass=yes h", false}, {"h -o FdPass=yes", true},
		{"fdpass-host fdpass=yes", false}, {"-l fdpass h", false}, {"-o FdPass h", false},
	} {
		line, err := getopt.ParseSSH(strings.Fields(tt.args))
		if err != nil {
			t.Fatal(err)
		}
		if got := wantsFdPass(line); got != tt.pass {
			t.Errorf("%s: %v", tt.args, got)
		}
	}
}
