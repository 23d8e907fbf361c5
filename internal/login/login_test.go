package login

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"weak"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshauth"
	"muxd/internal/sshtest"
)

// nobody is a client behind which nobody is.
type nobody struct{ _ [64]byte } // not among the tiny objects, which are kept together

func (*nobody) Prompt(context.Context, control.Prompt) (control.Answer, error) {
	return control.Answer{}, control.ErrNobody
}
func (*nobody) Run(context.Context, control.Command) (control.Ran, error) {
	return control.Ran{}, control.ErrNobody
}
func (*nobody) Notice(string)              {}
func (*nobody) Waiting(control.Waiting)    {}
func (*nobody) Impatient() <-chan struct{} { return nil }

// The SSH library keeps the functions that a login gives it for as long as the
// connection lives. The client that waited for the login goes with the login.
func TestALoginKeepsNoClient(t *testing.T) {
	srv := sshtest.NewServer(sshtest.Options{Config: ssh.Config{KeyExchanges: []string{"curve25519-sha256"}}})
	defer srv.Close()
	home := t.TempDir()
	known := filepath.Join(home, "known")
	if err := os.WriteFile(known, append([]byte("host "), ssh.MarshalAuthorizedKey(srv.HostKey())...), 0o600); err != nil {
		t.Fatal(err)
	}
	resolver := dest.Resolver{Home: home, User: "me", SystemFile: filepath.Join(home, "none")}
	plan, err := resolver.Resolve(t.Context(), &control.Invocation{Args: []string{"-o", "UserKnownHostsFile=" + known, "host", "true"}, Dir: home}, new(nobody))
	if err != nil {
		t.Fatal(err)
	}
	in, client, err := func() (*Login, weak.Pointer[nobody], error) {
		p := new(nobody)
		nc, err := srv.DialContext(t.Context(), "tcp", "host:22")
		if err != nil {
			return nil, weak.Make(p), err
		}
		in, err := Do(t.Context(), nc, Config{Dest: plan.Session.Dest.(*dest.Destination), Log: slog.New(slog.DiscardHandler), Prompter: p, Home: home,
			Lax: new(atomic.Bool), Keyring: new(sshauth.Keyring)})
		return in, weak.Make(p), err
	}()
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	if client.Value() != nil {
		t.Error("the client is kept with the connection")
	}
	go ssh.DiscardRequests(in.Requests)
	if _, _, err := in.Conn.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Error(err)
	}
	in.Conn.Close()
	if err := in.Conn.Wait(); errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
