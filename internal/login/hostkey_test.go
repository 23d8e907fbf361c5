package login

import (
	"net"
	"path/filepath"
	"testing"

	"muxd/control"
	"muxd/internal/dest"
)

// The address on the wire is not the server's behind a proxy or a jump host.
func TestTheServerOfAHostKey(t *testing.T) {
	home := t.TempDir()
	resolver := dest.Resolver{Home: home, User: "me", SystemFile: filepath.Join(home, "none")}
	peer := &net.TCPAddr{IP: net.ParseIP("192.0.2.2"), Port: 22}
	for _, c := range []struct {
		args []string
		want net.Addr
	}{
		{[]string{"-p", "2222", "you@host"}, peer},
		{[]string{"-p", "2222", "-o", "ProxyCommand=nc %h %p", "you@host"}, nil},
		{[]string{"-p", "2222", "-J", "hop", "you@host"}, nil},
	} {
		plan, err := resolver.Resolve(t.Context(), &control.Invocation{Args: append(c.args, "true"), Dir: home}, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := &attempt{Config: Config{Dest: plan.Session.Dest.(*dest.Destination), Before: []byte("before"), Home: home}}
		s := a.server(peer)
		if s.Peer != c.want || s.Name != "you@host" || s.User != "you" || s.Host != "host" || s.Port != 2222 || string(s.Before) != "before" || s.Home != home {
			t.Errorf("%q: %+v", c.args, s)
		}
	}
}
