package login

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

// mark is the mark of an error, "" without one.
func mark(err error) string {
	var busy *Busy
	switch {
	case !errors.As(err, &busy):
		return ""
	case busy.Silent:
		return "silent"
	}
	return "busy"
}

func op(err error) error {
	return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}
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

func TestBusyServers(t *testing.T) {
	const refused, closed = "the server refused the connection: ", "the server closed the connection during the SSH handshake"
	const logins = " (too many logins are under way there)"
	const penalty = " (too many logins are under way there, or it penalises this address for failed ones)"
	const mute = "; it had not said a word: it may have too many logins under way, or not want this address"
	eof, reset := handshakeError(io.EOF), handshakeError(op(syscall.ECONNRESET))
	for _, c := range []struct {
		err     error
		sniffed string
		heard   bool
		mark    string
		text    string
	}{
		{eof, "Exceeded MaxStartups\r\n", true, "busy", refused + `"Exceeded MaxStartups"` + logins},
		{reset, "Exceeded MaxStartups\r\n", true, "busy", refused + `"Exceeded MaxStartups"` + logins},
		{handshakeError(&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}), "Exceeded MaxStartups\r\n", true, "busy", "the server did not begin SSH in time: it said " + `"Exceeded MaxStartups"` + logins},
		{eof, "Not allowed at this time\r\n", true, "busy", refused + `"Not allowed at this time"` + penalty},
		{eof, "\x1b]0;x\aNot allowed\x00 at this time\r\n", true, "", refused + `"?]0;x?Not allowed? at this time"`},
		{eof, "\x1b[31mNOT allowed at this time\u202e\r\n", true, "busy", refused + `"?[31mNOT allowed at this time?"` + penalty},
		{eof, "ftp: Too many connections, \"bye\"\n", true, "busy", refused + `"ftp: Too many connections, \"bye\""`},
		{eof, "too many users\n", true, "busy", refused + `"too many users"`},
		{eof, "Server is busy.\n", true, "busy", refused + `"Server is busy."`},
		{eof, "Please try again later", true, "busy", refused + `"Please try again later"`},
		{eof, "Connection refused by example.net\n", true, "busy", refused + `"Connection refused by example.net"`},
		{handshakeError(errors.New(`ssh: disconnect, reason 12: "Too many concurrent connections"`)), "", true, "busy",
			`disconnect, reason 12: "Too many concurrent connections"`},
		{handshakeError(errors.New(`ssh: disconnect, reason 2: "go away"`)), "", true, "", `disconnect, reason 2: "go away"`},
		{eof, "HTTP/1.1 400 Bad Request\r\n", true, "", refused + `"HTTP/1.1 400 Bad Request"`},
		{eof, "220 mail\r\n", true, "", refused + `"220 mail"`},

		{eof, "", false, "silent", closed + mute},
		{reset, "", false, "silent", "connection reset by peer during the SSH handshake" + mute},
		{handshakeError(op(syscall.EPIPE)), "", false, "silent", "broken pipe during the SSH handshake" + mute},
		{eof, "", true, "", closed}, // after its version
		{handshakeError(&os.PathError{Op: "read", Path: "|0", Err: os.ErrClosed}), "", true, "", closed},
		{handshakeError(op(net.ErrClosed)), "", true, "", closed},
		{reset, "", true, "", "connection reset by peer during the SSH handshake"},
		{handshakeError(&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}), "", false, "", "the server did not finish the SSH handshake in time"},
		{handshakeError(errors.New("ProxyCommand ended: exit status 1")), "", false, "", "ProxyCommand ended: exit status 1"},
		{handshakeError(fmt.Errorf("jump host x: connection lost (%w)", errors.New("closed after being idle"))), "", false, "", "jump host x: connection lost (closed after being idle)"},
	} {
		e := &control.Error{Phase: control.Refused, Host: "host", Text: describeHandshake(c.err, c.sniffed).Error()}
		err := markBusy(e, c.err, c.sniffed, c.heard)
		if got := mark(err); got != c.mark || e.Text != c.text {
			t.Errorf("%v after %q: %q, %s\nwant %q, %s", c.err, c.sniffed, got, e.Text, c.mark, c.text)
		}
	}
}

// What is matched of the SSH library is what it says.
func TestTheLibrarySaysReasonTwelve(t *testing.T) {
	a, b := sshtest.Pipe()
	// SSH_MSG_DISCONNECT, without encryption: length, padding, payload.
	payload := ssh.Marshal(struct {
		Type       byte
		Reason     uint32
		Text, Lang string
	}{1, 12, "full", ""})
	pad := 16 - (5+len(payload))%8
	packet := append(ssh.Marshal(struct{ N uint32 }{uint32(1 + len(payload) + pad)}), byte(pad))
	io.WriteString(b, "SSH-2.0-x\r\n"+string(packet)+string(payload)+string(make([]byte, pad)))
	_, _, _, err := ssh.NewClientConn(a, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if _, busy := busyWords("", err.Error()); !busy {
		t.Errorf("%v", err)
	}
}
