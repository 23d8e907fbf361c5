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
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

// asBusy is the mark of an error, "" without one.
func asBusy(err error) string {
	var busy *busyError
	switch {
	case !errors.As(err, &busy):
		return ""
	case busy.silent:
		return "silent"
	}
	return "busy"
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
		{reset, "", true, "", "connection reset by peer during the SSH handshake"},
		{handshakeError(&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}), "", false, "", "the server did not finish the SSH handshake in time"},
		{handshakeError(errors.New("ProxyCommand ended: exit status 1")), "", false, "", "ProxyCommand ended: exit status 1"},
		{handshakeError(fmt.Errorf("jump host x: connection lost (%w)", errIdle)), "", false, "", "jump host x: connection lost (closed after being idle)"},
	} {
		e := &control.Error{Phase: control.Refused, Host: "host", Text: describeHandshake(c.err, c.sniffed).Error()}
		err := markBusy(e, c.err, c.sniffed, c.heard)
		if got := asBusy(err); got != c.mark || e.Text != c.text {
			t.Errorf("%v after %q: %q, %s\nwant %q, %s", c.err, c.sniffed, got, e.Text, c.mark, c.text)
		}
		wantError(t, err, control.Refused, "host: "+c.text)
		if want := map[string]fault{"busy": faultBusy, "silent": faultBusy, "": faultNetwork}[c.mark]; classify(err) != want {
			t.Errorf("%v is taken for %v", err, classify(err))
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

// dialOf makes one attempt to connect to a host, for which nobody waits.
func (r *rig) dialOf(host string) error {
	r.t.Helper()
	d := r.destination(host)
	h, err := r.m.host(d)
	if err != nil {
		r.t.Fatal(err)
	}
	defer r.m.unuse(h)
	_, err = r.m.dial(r.t.Context(), h, d, background{}, nil, false)
	return err
}

func TestBusyServersAreMarked(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		greet := func(text string) { r.srv.Update(func(o *sshtest.Options) { o.Greeting = text }) }
		hear := func(f func(c net.Conn)) {
			r.dial = func(context.Context, string, string) (net.Conn, error) {
				near, far := sshtest.Pipe()
				go f(far)
				return near, nil
			}
		}
		for _, c := range []struct {
			name, mark string
			set        func()
		}{
			{"busy", "busy", func() { greet("Not allowed at this time\r\n") }},
			{"another protocol", "", func() { greet("220 mail\r\n") }},
			{"closed at once", "silent", func() { hear(func(c net.Conn) { c.Close() }) }},
			{"closed after our version", "silent", func() { hear(func(c net.Conn) { c.Read(make([]byte, 99)); c.Close() }) }},
			{"closed after its version", "", func() {
				hear(func(c net.Conn) { io.WriteString(c, "SSH-2.0-x\r\n"); c.Read(make([]byte, 99)); c.Close() })
			}},
			{"silence", "", func() { hear(func(c net.Conn) { time.Sleep(time.Hour); c.Close() }) }},
		} {
			c.set()
			err := r.dialOf("host")
			if got := asBusy(err); got != c.mark || err == nil {
				t.Errorf("%s: %q: %v", c.name, got, err)
			}
			r.dial = nil
		}
		synctest.Wait()
		time.Sleep(2 * time.Hour)
	})
	inNetwork(t, sshtest.Options{}, []string{"bastion", "inside"}, []string{"bastion"}, func(t *testing.T, r *rig, n *network) {
		r.write(".ssh/config", "Host inside\n ProxyJump bastion\n")
		n.servers["bastion"].srv.Update(func(o *sshtest.Options) { o.Greeting = "Exceeded MaxStartups\r\n" })
		if err := r.dialOf("inside"); asBusy(err) != "busy" {
			t.Errorf("behind a busy bastion: %v", err)
		}
	})
}
