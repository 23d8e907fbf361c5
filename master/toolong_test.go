package master

import (
	"context"
	"strings"
	"testing"

	"muxd/control"
	"muxd/internal/sshtest"
)

// What a server drops its connection for, with everybody's sessions, is refused
// here, whichever part of a request it is.
func TestWhatIsTooLong(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		other := r.open("host", "sleep", "1h")
		fits, tooLong := strings.Repeat("x", maxRequest), strings.Repeat("x", maxRequest+1)
		dst := r.request("host").Dest
		try := func(text string) error {
			q := *r.request("host", "true")
			q.TTY = &control.TTY{Term: text[1:], Modes: []byte{0}}
			_, err := r.m.Session(t.Context(), &q, nil)
			if text == tooLong {
				wantError(t, err, control.NotDialled, "host: the terminal's type and modes are 261121 bytes long")
			} else if err != nil {
				t.Errorf("terminal: %v", err)
			}
			for _, e := range []control.Endpoint{{Host: text, Port: 1}, {Path: text}} {
				if _, err := r.m.Direct(t.Context(), &control.DirectRequest{Dest: dst, Host: e.Host, Port: e.Port, Path: e.Path, Bytes: new(control.Meter)}, nil); text == tooLong {
					wantError(t, err, control.NotDialled, "host: the address is 261121 bytes long")
				}
				for _, f := range []control.Forward{
					{Kind: control.ForwardRemote, Listen: e, Connect: control.Endpoint{Host: "h", Port: 1}},
					{Kind: control.ForwardLocal, Listen: control.Endpoint{Host: "localhost", Port: 1}, Connect: e},
				} {
					if text == tooLong {
						_, err := r.m.Forward(context.Background(), &control.ForwardRequest{Dest: dst, Forwards: []control.Forward{f}, Strict: true}, nil)
						wantError(t, err, control.NotDialled, "host: the address is 261121 bytes long")
					}
				}
			}
			return other.Signal(text)
		}
		if err := try(tooLong); err == nil {
			t.Error("a signal of any length is sent")
		}
		if err := try(fits); err != nil {
			t.Error(err)
		}
		r.run("host", "true")
		r.wantLogins(1)
		r.wantLinks("ready")
		other.Close()
	})
}
