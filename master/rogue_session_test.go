package master

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// channels is an act on a session that was opened and whose command was taken.
func channels(then func(id uint32) act) act {
	return func(w *sshtest.Rogue) error {
		if err := w.Login(); err != nil {
			return err
		}
		id, err := w.Session()
		if err != nil {
			return err
		}
		return then(id)(w)
	}
}

// idles answers keepalives and nothing else.
func idles(w *sshtest.Rogue) error { return w.Drain() }

// roguesDeeds are what a server does wrong with a session that runs, and what its
// client is told; an empty want is a session that ends well after it.
var roguesDeeds = map[string]struct {
	then func(id uint32) act
	want string
}{
	"no status": {func(id uint32) act { return after(packet(sshtest.MsgClose, id), idles) }, "the server closed the session without an exit status"},
	"data after EOF": {func(id uint32) act {
		return after(packet(sshtest.MsgEOF, id), packet(sshtest.MsgData, id, "late"))
	}, ""},
	"data after close": {func(id uint32) act {
		return after(ends(id), packet(sshtest.MsgData, id, "late"), idles)
	}, "invalid channel"}, // or the session ended before it was seen
	"data of another channel":  {func(uint32) act { return after(packet(sshtest.MsgData, uint32(77), "x"), idles) }, "invalid channel 77"},
	"close of another channel": {func(uint32) act { return after(packet(sshtest.MsgClose, uint32(1<<32-1)), idles) }, "invalid channel"},
	"request of another channel": {func(id uint32) act {
		return packet(sshtest.MsgRequest, uint32(77), "x", true)
	}, ""},
	"beyond the window": {func(id uint32) act {
		// To a client that reads nothing, eight packets more than it grants. Behind
		// sixteen the library is stuck (sshlink: TestBrokenProtocolLeavesNothing).
		return after(times(64+8, packet(sshtest.MsgData, id, make([]byte, 32<<10))), quiet)
	}, "remote side wrote too much"},
	"too long a packet": {func(id uint32) act { return packet(sshtest.MsgData, id, make([]byte, 33<<10)) }, "incoming packet exceeds maximum payload size"},
	"a false length":    {func(id uint32) act { return packet(sshtest.MsgData, id, uint32(99), sshtest.Raw("x")) }, "wrong packet length"},
	"window overflow":   {func(id uint32) act { return packet(sshtest.MsgAdjust, id, uint32(1<<32-1)) }, "invalid window update"},
	"two confirmations": {func(id uint32) act {
		return packet(sshtest.MsgConfirm, id, id, uint32(1), uint32(1<<15))
	}, "duplicate response received for channel"},
	"answers unasked": {func(id uint32) act {
		return times(10000, after(packet(sshtest.MsgSuccess, id), packet(sshtest.MsgGlobalDone)))
	}, ""},
	"data of no kind": {func(id uint32) act {
		return times(1000, packet(sshtest.MsgExtended, id, uint32(9), make([]byte, 30000)))
	}, ""},
	"rekey storm":              {func(id uint32) act { return times(200, rekeys) }, ""},
	"KEXINIT and no more":      {func(uint32) act { return after(proposes(), quiet) }, "nothing was received"},
	"data in the key exchange": {func(id uint32) act { return after(proposes(), packet(sshtest.MsgData, id, "x"), quiet) }, "unexpected message type 94"},
	"opens, and reads no answer": {func(uint32) act {
		return after(times(20000, packet(sshtest.MsgOpen, "x11", uint32(1), uint32(1), uint32(1<<15), "", uint32(1))), quiet)
	}, "nothing was received"},
	"pings, and reads no answer": {func(uint32) act {
		return after(times(3000, packet(sshtest.MsgPing, make([]byte, 1000))), quiet)
	}, "nothing was received"},
	"requests": {func(id uint32) act {
		return after(times(10000, packet(sshtest.MsgRequest, id, "nonsense", false)), times(10000, packet(sshtest.MsgGlobal, "nonsense", false)))
	}, ""},
	"host keys of nonsense": {func(id uint32) act {
		return times(100, packet(sshtest.MsgGlobal, "hostkeys-00@openssh.com", false, make([]byte, 30000)))
	}, ""},
	"disconnect": {func(uint32) act { return packet(sshtest.MsgDisconnect, uint32(2), escapes, "") }, `disconnect, reason 2: "\x1b]0;owned`},
}

// ends is a session's good end.
func ends(id uint32) act { return func(w *sshtest.Rogue) error { return w.Exit(id, 0) } }

// times does it that often.
func times(n int, a act) act {
	return func(w *sshtest.Rogue) (err error) {
		for i := 0; i < n && err == nil; i++ {
			err = a(w)
		}
		return err
	}
}

func rekeys(w *sshtest.Rogue) error { return w.Exchange(nil) }

// quiet says no more, and reads nothing.
func quiet(*sshtest.Rogue) error { time.Sleep(time.Hour); return io.EOF }

// What a server does wrong once sessions run ends, at the worst, its own
// connection: another host's commands take no longer than ever, memory idles
// bounded, and the line is true.
func TestRogueSession(t *testing.T) {
	for name, c := range roguesDeeds {
		t.Run(name, func(t *testing.T) {
			then := c.then
			if c.want == "" {
				then = func(id uint32) act { return after(c.then(id), ends(id), idles) }
			}
			withRogue(t, channels(then), func(t *testing.T, r *rogues) {
				err := r.beside(func() error {
					s, err := r.ask(t.Context(), nil, "rogue", "true")
					if err != nil {
						return err
					}
					if name == "beyond the window" {
						_, err := s.Wait()
						return err
					}
					_, exit, err := finish(s)
					if err == nil && exit != (control.Exit{}) {
						err = fmt.Errorf("%+v", exit)
					}
					return err
				})
				switch {
				case c.want == "" && err != nil:
					t.Error(err)
				case name == "data after close" && err == nil:
				case c.want != "" && !strings.Contains(r.told(err), c.want):
					t.Errorf("told %q", r.told(err))
				}
			})
		})
	}
}

// No message of the connection protocol, however short, ends more than its
// connection: the library's goroutines, in which a panic would be muxd's end, take
// each of them.
func TestRogueShortMessages(t *testing.T) {
	for number := range 256 {
		switch {
		case number == sshtest.MsgKexInit, number == sshtest.MsgNewKeys:
			continue // of the transport
		case number > sshtest.MsgRefused+1 && number < sshtest.MsgPing, number > sshtest.MsgPing+2:
			continue // one unknown number is like the other
		}
		withRogue(t, channels(func(id uint32) act {
			return after(packet(byte(number), sshtest.Raw([]byte{0, 0, 0, byte(id), 0, 0}[:number%7])), ends(id), idles)
		}), func(t *testing.T, r *rogues) {
			s, err := r.ask(t.Context(), nil, "rogue", "true")
			if err == nil {
				finish(s)
			}
			r.run("host", "true")
		})
	}
}
