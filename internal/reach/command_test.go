package reach

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// The writer tells what happened as the reader does: which of them meets the
// end first is chance.
func TestCommandEndsUnderWriter(t *testing.T) {
	c := Command{Shell: "/bin/sh", Line: "sh -c 'kill -9 $$'", Said: func(string) {}}
	conn, err := c.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-conn.(*pipe).child.ended
	if _, err = conn.Write([]byte("SSH-2.0-x\r\n")); err == nil || !strings.Contains(err.Error(), "ProxyCommand ended: signal: killed") {
		t.Error(err)
	}
}

// A connection by a command carries bytes both ways, its lines on stderr go
// where they are wanted, and its end is the end.
func TestCommand(t *testing.T) {
	said := make(chan string, 1)
	c := Command{Shell: "/bin/sh", Line: "sh -c 'echo hello >&2; read x; echo got $x $MINE'", Env: []string{"MINE=mine"}, To: "host:22",
		Said: func(line string) { said <- line }}
	conn, err := c.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "it\n")
	if b, err := io.ReadAll(conn); string(b) != "got it mine\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if line := <-said; line != "hello" {
		t.Errorf("said %q", line)
	}
	if to := conn.RemoteAddr().String(); to != "host:22 by ProxyCommand" {
		t.Errorf("it leads to %s", to)
	}
}

func TestCommandDoesNotStart(t *testing.T) {
	c := Command{Shell: "/no/such/shell", Line: "true", Said: func(string) {}}
	var start *StartError
	if _, err := c.Pipe(); !errors.As(err, &start) {
		t.Error(err)
	}
	if _, _, err := c.Pass(t.Context(), 0); !errors.As(err, &start) {
		t.Error(err)
	}
}
