package login

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshauth"
	"muxd/internal/sshtest"
	"muxd/internal/wire"
)

// held keeps what a rogue writes, to be sent at once.
type held struct {
	net.Conn
	all []byte
}

func (h *held) Write(p []byte) (int, error) {
	h.all = append(h.all, p...)
	return len(p), nil
}

// floods are what a server sends a hundred times, in one piece, when it was served
// that far: each ends the login, at the first packet of them or later.
var floods = map[string]struct {
	before func(*sshtest.Rogue) error
	packet []byte
}{
	"in the place of the service": {(*sshtest.Rogue).Greet, sshtest.Packet(sshtest.MsgFailure, "publickey", false)},
	"empty answers":               {(*sshtest.Rogue).Greet, sshtest.Packet(6)},
	"two extensions":              {(*sshtest.Rogue).Greet, sshtest.Packet(7, uint32(0))},
	"refusals":                    {asked, sshtest.Packet(sshtest.MsgFailure, "none", false)},
	"refusals with ways":          {asked, sshtest.Packet(sshtest.MsgFailure, "publickey", false)},
	"opens":                       {asked, sshtest.Packet(sshtest.MsgOpen, "session", uint32(0), uint32(1), uint32(1<<15))},
	"banners":                     {asked, sshtest.Packet(sshtest.MsgBanner, "b", "")},
}

func asked(r *sshtest.Rogue) error {
	err := r.Greet()
	if err == nil {
		err = r.Service()
	}
	if err == nil {
		_, err = r.Expect(sshtest.MsgUserauth)
	}
	return err
}

// flood serves one connection.
func flood(far net.Conn, key *sshtest.Key, before func(*sshtest.Rogue) error, packet []byte) error {
	r := sshtest.NewRogue(far, key)
	if err := before(r); err != nil {
		return err
	}
	h := &held{Conn: far}
	r.Conn = h
	for range 100 {
		if err := r.Write(packet); err != nil {
			return err
		}
	}
	_, err := far.Write(h.all)
	return err
}

// A server that ends a login and goes on sending leaves no goroutine of the
// library's standing at the seventeenth packet.
func TestFloodInTheLoginLeavesNothing(t *testing.T) {
	home := t.TempDir()
	key := sshtest.NewKey()
	known := filepath.Join(home, "known")
	if err := os.WriteFile(known, []byte("host "+key.Line()), 0o600); err != nil {
		t.Fatal(err)
	}
	resolver := dest.Resolver{Home: home, User: "me", SystemFile: filepath.Join(home, "none")}
	plan, err := resolver.Resolve(t.Context(), &control.Invocation{Args: []string{"-o", "UserKnownHostsFile=" + known, "host", "true"}, Dir: home}, new(nobody))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range floods {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which fails over a goroutine that is left
				near, far := sshtest.Pipe()
				sent := make(chan error, 1)
				go func() { sent <- flood(far, key, f.before, f.packet) }()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began := time.Now()
				in, err := Do(ctx, near, Config{Dest: plan.Session.Dest.(*dest.Destination), Log: slog.New(slog.DiscardHandler), Prompter: new(nobody), Home: home,
					Lax: new(atomic.Bool), Keyring: new(sshauth.Keyring)})
				if err == nil {
					in.Conn.Close()
					t.Error("logged in")
				}
				if err := <-sent; err != nil {
					t.Error("the server:", err)
				}
				if took := time.Since(began); took != 0 && name != "banners" {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// Nor does one whose client gave up at the moment in which it was let in.
func TestAbandonedLoginLeavesNothing(t *testing.T) {
	for name, packet := range map[string][]byte{
		"opens":    sshtest.Packet(sshtest.MsgOpen, "session", uint32(0), uint32(1), uint32(1<<15)),
		"requests": sshtest.Packet(sshtest.MsgGlobal, "nonsense", true),
		"data":     sshtest.Packet(sshtest.MsgData, uint32(77), "x"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := sshtest.Pipe()
				key := sshtest.NewKey()
				sent := make(chan error, 1)
				go func() { sent <- flood(far, key, (*sshtest.Rogue).Login, packet) }()
				w := wire.New(near)
				cc, chans, reqs, err := ssh.NewClientConn(w, "host:22", &ssh.ClientConfig{User: "me", HostKeyCallback: ssh.FixedHostKey(key.PublicKey())})
				if err != nil {
					t.Fatal(err)
				}
				if err := <-sent; err != nil {
					t.Error(err)
				}
				synctest.Wait()
				w.Close()
				abandon(cc, chans, reqs)
			})
		})
	}
}
