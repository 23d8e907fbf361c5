package master

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"muxd/internal/sshtest"
)

// A link is dead before it says so by done, and a host may look in between: what
// a doubt posted comes late. Then too the cause is known.
func TestALinkIsDeadBeforeItSaysSo(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		h := r.host()
		h.call(func() {
			s.l.mu.Lock()
			s.l.state, s.l.err = linkDead, errors.New("cut")
			s.l.mu.Unlock()
			h.changed(s.l)
		})
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if st := h.status(); st.State != "waiting" || st.LastErr != "connection lost (cut)" {
			t.Errorf("%s, %q", st.State, st.LastErr)
		}
		s.l.wire.Close()
	})
}
