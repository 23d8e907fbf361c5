package master

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
	"muxd/internal/wire"
)

// A link is dead before it says so by done, and a host may look in between: what
// a doubt posted comes late. Then too the cause is known.
func TestALinkIsDeadBeforeItSaysSo(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		h := r.host()
		l, told := r.link(s), make(chan struct{})
		l.onEvent = func(e control.Event) {
			if e.To == sshlink.Dead.String() {
				h.call(func() { h.changed(l) })
				<-told
			}
		}
		l.Fail(errors.New("cut"))
		time.Sleep(wire.LastPackets)
		synctest.Wait()
		if l.Err() != nil {
			t.Error("it has said so")
		}
		if st := h.status(); st.State != "waiting" || st.LastErr != "connection lost (cut)" {
			t.Errorf("%s, %q", st.State, st.LastErr)
		}
		close(told)
	})
}
