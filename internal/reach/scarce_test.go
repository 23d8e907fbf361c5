package reach

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Connections to servers do not take the last descriptors, and come about again
// when there is room.
func TestConnectionsLeaveDescriptors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // whose end of the connections stays in its backlog
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	top, _ := unix.Dup(0)
	unix.Close(top)
	limit := uint64(max(8*mostKept, top+2*mostKept))
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	var all []net.Conn
	for err == nil && uint64(len(all)) < limit {
		var c net.Conn
		if c, err = Dial(context.Background(), "tcp", ln.Addr().String()); err == nil {
			all = append(all, c)
			defer c.Close()
		}
	}
	if !errors.Is(err, errScarce) || len(all) == 0 {
		t.Fatalf("after %d connections: %v", len(all), err)
	}
	command := &Command{Shell: "/bin/sh", Line: "cat", Said: func(string) {}}
	if c, err := command.Pipe(); !errors.Is(err, errScarce) {
		t.Errorf("a command: %v, %v", c, err)
	}
	for range mostKept {
		null, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal("nothing is left for others: ", err)
		}
		defer null.Close()
	}
	unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	for name, dial := range map[string]func() (net.Conn, error){
		"TCP":       func() (net.Conn, error) { return Dial(context.Background(), "tcp", ln.Addr().String()) },
		"a command": command.Pipe,
	} {
		c, err := dial()
		if err != nil {
			t.Fatalf("%s, with room again: %v", name, err)
		}
		c.Close()
	}
}
