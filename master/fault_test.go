package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/control"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err  error
		want fault
	}{
		{errors.New("connection refused"), faultNetwork}, {context.DeadlineExceeded, faultNetwork},
		{&control.Error{Phase: control.Refused, Text: "down"}, faultNetwork}, {syscall.ECONNREFUSED, faultNetwork},
		{&needsPerson{errors.New("host key")}, faultPerson}, {fmt.Errorf("wrapped: %w", &needsPerson{errors.New("x")}), faultPerson},
		{&busyError{err: errors.New("MaxStartups")}, faultBusy}, {&needsPerson{&busyError{err: errors.New("x")}}, faultPerson},
		{&noName{&control.Error{Phase: control.Refused, Text: "no such host"}}, faultNoName},
	} {
		if got := classify(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

func op(err error) error {
	return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}
}

func TestDescribeConnect(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{op(syscall.ECONNREFUSED), "connect to host:22: connection refused"}, {op(syscall.EHOSTUNREACH), "connect to host:22: no route to host"},
		{&net.OpError{Op: "dial", Err: context.DeadlineExceeded}, "connect to host:22: timed out"},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "connect to host:22: timed out"},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "host", IsNotFound: true}}, "could not resolve hostname host: no such host"},
		{&net.DNSError{Err: "server misbehaving", Name: "host"}, "could not resolve hostname host: server misbehaving"},
		{&net.DNSError{Err: "i/o timeout", Name: "host", IsTimeout: true}, "could not resolve hostname host: i/o timeout"},
		{errors.New("odd"), "connect to host:22: odd"},
	} {
		if got := describeConnect("host:22", c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// handshakeError is how the SSH library wraps them (client.go).
func handshakeError(err error) error { return fmt.Errorf("ssh: handshake failed: %w", err) }

func TestDescribeHandshake(t *testing.T) {
	for _, c := range []struct {
		err     error
		sniffed string
		want    string
	}{
		{handshakeError(io.EOF), "", "the server closed the connection during the SSH handshake"},
		{handshakeError(io.EOF), "S", "the server closed the connection during the SSH handshake"},
		{handshakeError(io.EOF), "Exceeded MaxStartups\r\n", `the server refused the connection: "Exceeded MaxStartups"`},
		{handshakeError(io.EOF), "Not allowed at this time\r\nreally\r\n", `the server refused the connection: "Not allowed at this time really"`},
		{handshakeError(op(syscall.EPIPE)), "Exceeded\x1b[31m", `the server refused the connection: "Exceeded?[31m"`},
		{handshakeError(io.EOF), "SSH-2.0-x", "the server closed the connection during the SSH handshake"},
		{handshakeError(op(syscall.ECONNRESET)), "", "connection reset by peer during the SSH handshake"},
		{handshakeError(&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}), "", "the server did not finish the SSH handshake in time"},
		{handshakeError(errors.New("ssh: overflow reading version string")), "", "the peer is not an SSH server"},
		{errors.New("ssh: overflow reading version string"), "", "the peer is not an SSH server"},
		{handshakeError(errors.New("ssh: no common algorithm for key exchange")), "", "no common algorithm for key exchange"},
	} {
		if got := describeHandshake(c.err, c.sniffed).Error(); got != c.want {
			t.Errorf("%v after %q: %q, want %q", c.err, c.sniffed, got, c.want)
		}
	}
}

// The library's texts that are matched are the library's.
func TestTheLibrarySaysWhatIsMatched(t *testing.T) {
	a, b := net.Pipe()
	go func() {
		go io.Copy(io.Discard, b)
		b.Write(make([]byte, 1<<10))
		b.Close()
	}()
	_, _, _, err := ssh.NewClientConn(a, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if got := describeHandshake(err, "").Error(); got != "the peer is not an SSH server" {
		t.Errorf("%v: %q", err, got)
	}
	c, d := net.Pipe()
	go func() { d.Read(make([]byte, 100)); d.Close() }()
	_, _, _, err = ssh.NewClientConn(c, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if got := describeHandshake(err, "").Error(); got != "the server closed the connection during the SSH handshake" {
		t.Errorf("%v: %q", err, got)
	}
}

func TestAsControl(t *testing.T) {
	orig := &control.Error{Phase: control.Lost, Host: "other", Text: "t"}
	got := asControl("host", control.Refused, &needsPerson{orig}).(*control.Error)
	if *got != (control.Error{Phase: control.Lost, Host: "host", Text: "t"}) || orig.Host != "other" {
		t.Errorf("%+v, %+v", got, orig)
	}
	if got := asControl("host", control.Refused, io.EOF).(*control.Error); *got != (control.Error{Phase: control.Refused, Host: "host", Text: "EOF"}) {
		t.Errorf("%+v", got)
	}
}
