package master

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
)

// echoes sends the next bytes of a session back, and ends it well.
func echoes(id uint32) act {
	return func(w *sshtest.Rogue) error {
		p, err := w.Expect(sshtest.MsgData)
		var data struct {
			ID   uint32 `sshtype:"94"`
			Text string
		}
		if err == nil {
			err = ssh.Unmarshal(p, &data)
		}
		if err == nil && data.ID != id {
			err = errors.New("the client sends on another channel")
		}
		if err == nil {
			err = w.Data(id, []byte(data.Text))
		}
		if err == nil {
			err = w.Exit(id, 0)
		}
		return err
	}
}

// two is an act on two sessions of one connection, of which the second may send so
// many bytes. The first is served well after it.
func two(window uint32, then func(second uint32) act) act {
	return func(w *sshtest.Rogue) error {
		if err := w.Login(); err != nil {
			return err
		}
		first, err := w.Session()
		if err != nil {
			return err
		}
		second, err := w.SessionOf(window)
		if err != nil {
			return err
		}
		return after(then(second), echoes(first), idles)(w)
	}
}

// What a server does wrong with one session, where the protocol lets the
// connection go on at all, leaves another session on that connection as it was.
func TestRogueBesideItsOwn(t *testing.T) {
	deeds := map[string]func(uint32) act{"no status": func(id uint32) act { return packet(sshtest.MsgClose, id) }}
	for name, c := range roguesDeeds {
		if c.want == "" {
			deeds[name] = func(id uint32) act { return after(c.then(id), ends(id)) }
		}
	}
	for name, deed := range deeds {
		t.Run(name, func(t *testing.T) {
			withRogue(t, two(2<<20, deed), func(t *testing.T, r *rogues) {
				first, second := r.open("rogue", "cat"), r.open("rogue", "true")
				_, exit, err := finish(second)
				if good := err == nil && exit == (control.Exit{}); good != (name != "no status") {
					t.Errorf("the second: %+v, %v", exit, err)
				}
				r.goesOn(first)
			})
		})
	}
}

// goesOn ends the first of two sessions, and looks at who else is there.
func (r *rogues) goesOn(first *sshlink.Session) {
	r.t.Helper()
	began := time.Now()
	if _, err := first.Write([]byte("still")); err != nil {
		r.t.Error(err)
	}
	if out, exit, err := finish(first); out != "still" || exit != (control.Exit{}) || err != nil {
		r.t.Errorf("the first: %q, %+v, %v", out, exit, err)
	}
	if took := time.Since(began); took > 100*time.Millisecond {
		r.t.Errorf("the first took %v", took)
	}
	r.neighbour()
	if r.dials != 1 {
		r.t.Errorf("%d connections", r.dials)
	}
}

// A server that lets a session send nothing, or little, or that sends more than
// its client reads, stops that session alone, for as long as its client likes: it
// is told nothing, because nothing is wrong yet, and may go at any time.
func TestRogueWindows(t *testing.T) {
	const stdin = 8 << 20
	for name, c := range map[string]struct {
		window uint32
		then   func(id uint32) act
	}{
		"none": {0, func(uint32) act { return after() }},
		"one that is never adjusted": {1000, func(id uint32) act {
			return func(w *sshtest.Rogue) error {
				for n := 0; n < 1000; {
					p, err := w.Expect(sshtest.MsgData)
					if err != nil {
						return err
					}
					n += len(p) - 9
				}
				return nil
			}
		}},
		"ours is full":        {2 << 20, func(id uint32) act { return times(64, packet(sshtest.MsgData, id, make([]byte, 32<<10))) }},
		"adjusted by nothing": {0, func(id uint32) act { return times(10000, packet(sshtest.MsgAdjust, id, uint32(0))) }},
	} {
		t.Run(name, func(t *testing.T) {
			withRogue(t, two(c.window, c.then), func(t *testing.T, r *rogues) {
				first, second := r.open("rogue", "cat"), r.open("rogue", "cat")
				wrote := make(chan error, 1)
				if c.window < 1<<20 {
					go func() { _, err := second.Write(make([]byte, stdin)); wrote <- err }()
				}
				time.Sleep(time.Hour)
				r.goesOn(first)
				synctest.Wait()
				select {
				case err := <-wrote:
					t.Errorf("all was taken, %v", err)
				default:
				}
				second.Close()
				time.Sleep(time.Minute)
				r.neighbour()
			})
		})
	}
	// A window of packets without bytes is no window.
	withRogue(t, after((*sshtest.Rogue).Login, func(w *sshtest.Rogue) error {
		id, err := w.Channel()
		if err == nil {
			err = w.Confirm(id, 2<<20, 0)
		}
		return err
	}, idles), func(t *testing.T, r *rogues) {
		_, err := r.ask(t.Context(), nil, "rogue", "true")
		if told := r.told(err); !strings.Contains(told, "invalid MaxPacketSize") {
			t.Errorf("told %q", told)
		}
		r.neighbour()
	})
}
