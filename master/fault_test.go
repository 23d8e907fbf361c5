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

	"muxd/control"
	"muxd/internal/login"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err  error
		want fault
	}{
		{errors.New("connection refused"), faultNetwork}, {context.DeadlineExceeded, faultNetwork},
		{&control.Error{Phase: control.Refused, Text: "down"}, faultNetwork}, {syscall.ECONNREFUSED, faultNetwork},
		{&login.NeedsPerson{Err: errors.New("host key")}, faultPerson}, {fmt.Errorf("wrapped: %w", &login.NeedsPerson{Err: errors.New("x")}), faultPerson},
		{&login.Busy{Err: errors.New("MaxStartups")}, faultBusy}, {&login.NeedsPerson{Err: &login.Busy{Err: errors.New("x")}}, faultPerson},
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

func TestAsControl(t *testing.T) {
	orig := &control.Error{Phase: control.Lost, Host: "other", Text: "t"}
	got := asControl("host", control.Refused, &login.NeedsPerson{Err: orig}).(*control.Error)
	if *got != (control.Error{Phase: control.Lost, Host: "host", Text: "t"}) || orig.Host != "other" {
		t.Errorf("%+v, %+v", got, orig)
	}
	denied := &control.Error{Phase: control.Refused, Host: "host", Text: "me@host: Permission denied (publickey)"}
	if got := asControl("me@host", control.Refused, denied); got.Error() != "me@host: Permission denied (publickey)" {
		t.Errorf("%v", got)
	}
	if got := asControl("host", control.Refused, denied); got.Error() != "host: me@host: Permission denied (publickey)" {
		t.Errorf("%v", got)
	}
	if got := asControl("host", control.Refused, io.EOF).(*control.Error); *got != (control.Error{Phase: control.Refused, Host: "host", Text: "EOF"}) {
		t.Errorf("%+v", got)
	}
}
