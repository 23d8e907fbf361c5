package master

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// A connection whose keys change all the time, under uploads and beside sessions
// that come and go, carries every byte and is given up by nobody. It is the server
// that begins each change. Begun by us, the uploads' packets would wait for it, and
// so would the answer to a channel's end, which stands in the way of the server's
// half of the exchange: within a second of this load nothing moves any more.
func TestRekeyUnderLoad(t *testing.T) {
	sshtest.Require(t, "sshd")
	const uploads, loops, each = 12, 10, 2
	const up, down = 1 << 20, 200_000
	d := sshtest.StartSSHD(t, "RekeyLimit 1M", "MaxSessions 100", "LogLevel DEBUG1")
	proxy := sshtest.NewProxy(t, d.Addr)
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"known_hosts": d.KnownHostsLine,
		"config": fmt.Sprintf("HostName %s\nPort %d\nUser %s\nIdentityFile %s\nIdentityAgent none\nIdentitiesOnly yes\n",
			d.Host, d.Port, d.User, d.ClientKey),
	} {
		if err := os.WriteFile(filepath.Join(home, ".ssh", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := New(Config{Log: slog.New(slog.DiscardHandler), Home: home, User: "me", SystemFile: filepath.Join(home, "none"),
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, proxy.Addr)
		}})
	t.Cleanup(m.Close)
	command := func(line, in, want string) error {
		plan, err := m.Resolve(t.Context(), &control.Invocation{Args: []string{"box", line}, Dir: home}, nil)
		if err != nil {
			return err
		}
		s, err := m.Session(t.Context(), plan.Session, nil)
		if err != nil {
			return err
		}
		defer s.Close()
		go func() { s.Write([]byte(in)); s.CloseWrite() }()
		out, exit, err := finish(s)
		if err == nil && (exit != (control.Exit{}) || strings.TrimSpace(out) != want) {
			err = fmt.Errorf("%+v, %d bytes", exit, len(out))
		}
		return err
	}
	if err := command("true", "", ""); err != nil {
		t.Fatal(err)
	}
	proxy.Delay(20 * time.Millisecond)
	ends := make(chan error, uploads+loops)
	in, out := strings.Repeat("x", up), strings.Repeat("y", down)
	for range uploads {
		go func() { ends <- command("wc -c", in, fmt.Sprint(up)) }()
	}
	for range loops {
		go func() {
			var err error
			for range each {
				err = errors.Join(err, command(fmt.Sprintf("head -c %d /dev/zero | tr '\\0' y", down), "", out))
			}
			ends <- err
		}()
	}
	limit := time.After(2 * time.Minute)
	for range uploads + loops {
		select {
		case err := <-ends:
			if err != nil {
				t.Error(err)
			}
		case <-limit:
			t.Fatal("nothing moves")
		}
	}
	if n := strings.Count(d.Log(), "SSH2_MSG_KEXINIT received"); n < 5 {
		t.Errorf("%d exchanges of keys", n)
	}
	t.Logf("%d exchanges of keys, %d logins", strings.Count(d.Log(), "SSH2_MSG_KEXINIT received"), d.Logins())
}
