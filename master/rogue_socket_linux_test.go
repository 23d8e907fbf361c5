package master

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// clogged is an act that opens channels until nothing more can be sent to the
// client, which closes full, and stays until gone.
func clogged(conn net.Conn, full chan<- struct{}, gone <-chan struct{}) act {
	return channels(func(uint32) act {
		open := packet(sshtest.MsgOpen, "x11", uint32(1), uint32(1), uint32(1<<15), "", uint32(1))
		return func(w *sshtest.Rogue) error {
			for err := error(nil); err == nil; {
				conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
				err = open(w)
			}
			close(full)
			<-gone
			return nil
		}
	})
}

// fewBytes is what the socket holds on the way to the client. With the system's
// megabytes a machine that is slow, and the race detector, takes longer to fill it
// than TCP_USER_TIMEOUT lets what the client sent lie: then the kernel ends the
// connection, before muxd can.
const fewBytes = 64 << 10

// clogs serves one connection so, and no other one.
func clogs(ln net.Listener, key *sshtest.Key, full chan<- struct{}, gone <-chan struct{}) {
	conn, err := ln.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetWriteBuffer(fewBytes)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	clogged(conn, full, gone)(sshtest.NewRogue(conn, key))
}

// besideRogue has the Master know a host "rogue" that is met at ln, and is soon
// given up.
func besideRogue(t *testing.T, m *Master, key *sshtest.Key, ln net.Listener) {
	t.Helper()
	ssh := filepath.Join(m.cfg.Home, ".ssh")
	known, err := os.ReadFile(filepath.Join(ssh, "known_hosts"))
	if err == nil {
		err = os.WriteFile(filepath.Join(ssh, "known_hosts"), append(known, "rogue "+key.Line()...), 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(ssh, "config"), []byte("Host rogue\n ServerAliveInterval 1\n ServerAliveCountMax 3\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	dial := m.cfg.Dial
	m.cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasPrefix(addr, "rogue:") {
			c, err := new(net.Dialer).DialContext(ctx, network, ln.Addr().String())
			if err == nil {
				err = c.(*net.TCPConn).SetReadBuffer(fewBytes)
			}
			return c, err
		}
		return dial(ctx, network, addr)
	}
}

// A server that fills both directions of a real socket, by opens whose answers it
// does not read, under an upload that it does not read either, has everything stand
// still: nothing can be written, and so nothing is read. That ends by the budget
// of its own connection, and the commands of another host go on all the while.
func TestRogueFillsBothDirections(t *testing.T) {
	for range 3 {
		if fillsBothDirections(t) || t.Failed() {
			return
		}
	}
	t.Error("three times the kernel gave the connection up before muxd did")
}

// fillsBothDirections reports that muxd ended the connection. Where it is starved of
// processor time while the socket fills, the kernel may have ended it before
// (TCP_USER_TIMEOUT), which is as true and proves nothing.
func fillsBothDirections(t *testing.T) bool {
	m, request := scaled(t, "true")
	key := sshtest.NewKey()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	besideRogue(t, m, key, ln)
	full, gone := make(chan struct{}), make(chan struct{})
	go clogs(ln, key, full, gone)

	if _, err := command(m, request(0)); err != nil {
		t.Fatal(err)
	}
	before, goroutines := held()
	goroutines += 2 // of a host that is not connected
	plan, err := m.Resolve(t.Context(), &control.Invocation{Args: []string{"rogue", "true"}, Dir: m.cfg.Home}, nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s, err := m.Session(context.Background(), plan.Session, nil)
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() { _, err := s.Write(make([]byte, 64<<20)); wrote <- err }()
	ended := make(chan error, 1)
	go func() { _, _, err := finish(s); ended <- err }()
	commands := 0
	for going := true; going; {
		if _, err := command(m, request(0)); err != nil {
			t.Fatal(err)
		}
		commands++
		select {
		case err = <-ended:
			going = false
		default:
		}
	}
	took := time.Since(began)
	kernel := err != nil && strings.HasPrefix(err.Error(), "rogue: connection lost (connection timed out")
	if !kernel && (err == nil || !strings.HasPrefix(err.Error(), "rogue: connection lost (no answer: nothing was received for ")) {
		t.Errorf("told %v", err)
	}
	select {
	case <-full:
	default:
		t.Error("the socket was not full")
	}
	if <-wrote == nil {
		t.Error("the upload was taken")
	}
	close(gone) // the socket stayed full until here
	s.Close()
	deadline := time.Now().Add(time.Minute)
	after, now := held()
	for (now > goroutines || after > before+4<<20) && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		after, now = held()
	}
	t.Logf("ended after %v, %d commands of another host meanwhile; %d KiB more and %d goroutines more are left", took, commands, (int64(after)-int64(before))>>10, now-goroutines)
	if now > goroutines || after > before+4<<20 {
		t.Error("something is left")
	}
	return !kernel
}
