package forward

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
)

// Connections do not take the descriptors that others need; who comes too many
// waits until there is room, and then gets through.
func TestForwardsLeaveDescriptors(t *testing.T) {
	fx := realFixture(t, nil)
	f := control.Forward{Kind: control.ForwardLocal, Listen: at("127.0.0.1", freePort(t)), Connect: at("x", 80)}
	fx.add(t, f, fx.owner())
	first := dialAt(t, f.Listen)
	fx.farSide(t, 1)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	top, _ := unix.Dup(0)
	unix.Close(top)
	// Half of them are kept: of the other half six are free.
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(2 * (top + 6)), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	dialled := 1
	eventually(t, "the error", func() bool {
		if strings.Contains(fx.state(f).LastErr, "too many open files") {
			return true
		}
		if dialled < 20 { // what ended before this test may have left more free
			t.Cleanup(func(c net.Conn) func() { return func() { c.Close() } }(dialAt(t, f.Listen))) // two descriptors: both ends are here
			dialled++
			time.Sleep(20 * time.Millisecond)
		}
		return false
	})
	if st := fx.state(f); st.Open < 2 || st.Open > dialled-1 || st.State != control.ForwardActive {
		t.Errorf("%d of %d are through, and the forward is %s", st.Open, dialled, st.State)
	}
	for range 8 {
		null, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal("nothing is left for others: ", err)
		}
		defer null.Close()
	}
	unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	eventually(t, "all of them", func() bool { return fx.Open() == dialled && fx.state(f).LastErr == "" })
	first.Close()
}
