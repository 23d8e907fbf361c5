package client_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
	"muxd/master"
)

// office is a whole muxd in this process, and the one host that it can reach.
type office struct {
	*muxd
	srv  *sshtest.Server
	m    *master.Master
	home string
}

// open serves at MUXD_SOCKET, until close.
func open(opts sshtest.Options) *office {
	home, err := os.MkdirTemp("/tmp", "muxclh")
	if err != nil {
		panic(err)
	}
	o := &office{srv: sshtest.NewServer(opts), home: home}
	o.write("known_hosts", "* "+string(ssh.MarshalAuthorizedKey(o.srv.HostKey())))
	o.write("config", "UserKnownHostsFile "+filepath.Join(home, "known_hosts")+"\nIdentityFile none\n")
	o.m = master.New(master.Config{Log: slog.New(slog.DiscardHandler), Home: home, User: "me", Dial: o.srv.DialContext,
		UserFile: filepath.Join(home, "config"), SystemFile: filepath.Join(home, "none"), OwnFile: filepath.Join(home, "own")})
	o.muxd = (&muxd{real: o.m}).start()
	return o
}

func (o *office) write(name, text string) {
	if err := os.WriteFile(filepath.Join(o.home, name), []byte(text), 0o600); err != nil {
		panic(err)
	}
}

func (o *office) close() {
	o.stop()
	o.m.Close()
	o.srv.Close()
	os.RemoveAll(o.home)
}

// at is an office for a test.
func at(t testing.TB, opts sshtest.Options) *office {
	t.Helper()
	o := open(opts)
	t.Cleanup(o.close)
	return o
}
