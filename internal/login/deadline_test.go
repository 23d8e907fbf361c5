package login

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"muxd/internal/wire"
)

// Pauses may lie within each other, as a PIN is asked for while a key waits to
// be touched: the clock runs again after the last.
func TestPausesNest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		w := wire.New(ours)
		defer w.Close()
		ended := make(chan error, 1)
		go func() {
			_, err := w.Read(make([]byte, 1))
			ended <- err
		}()
		expired := func() bool {
			synctest.Wait()
			return len(ended) > 0
		}
		dl := &deadline{w: w, left: 10 * time.Second}
		dl.run()
		time.Sleep(3 * time.Second)
		outer, inner := dl.hold(), dl.hold()
		time.Sleep(time.Hour)
		inner()
		time.Sleep(time.Hour)
		outer()
		time.Sleep(7*time.Second - time.Millisecond)
		if expired() {
			t.Error("expired too early")
		}
		time.Sleep(2 * time.Millisecond)
		if !expired() {
			t.Error("not expired")
		}
	})
}
