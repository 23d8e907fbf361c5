package main

import (
	"testing"

	"muxd/internal/sshtest"
)

// TestSlowLoginSaysSo: on a terminal, once, and not before a second has passed;
// nowhere else.
func TestSlowLoginSaysSo(t *testing.T) {
	t.Parallel()
	const hint = "muxc: box: connecting  ^C cancels\r\n"
	for _, tt := range []struct {
		name, script string
		says         string
	}{
		{"terminal", "$muxc box echo done", hint + "done\r\n"},
		{"stdout elsewhere", "$muxc box echo done >out; cat out", hint + "done\r\n"},
		{"stderr elsewhere", "$muxc box echo done 2>err; cat err", "done\r\n"},
		{"quiet", "$muxc -q box echo done", "done\r\n"},
		{"interrupted", "trap : INT; $muxc box echo done; echo $?", hint},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := startHost(t)
			proxy := sshtest.NewProxy(t, h.sshd.Addr)
			proxy.Stall(sshtest.Both)
			h.configure(proxy.Addr, h.sshd.HostKey, "IdentityFile "+h.sshd.ClientKey, "User "+h.sshd.User)
			s := h.onScreen(h.sh(tt.script))
			if tt.says[0] == 'm' {
				s.shows(hint)
			} else {
				h.eventually("the proxy has the connection", func() bool { return proxy.Conns() == 1 })
				h.onScreen(h.muxc("box", "true")).shows(hint) // who came later
			}
			if tt.name == "interrupted" {
				s.types("\x03")
				s.expect(`130\r\n\z`)
				s.ends(0)
				return
			}
			proxy.Resume(sshtest.Both)
			s.ends(0)
			if got := s.out.String(); got != tt.says {
				t.Errorf("got  %q\nwant %q", got, tt.says)
			}
		})
	}
}
