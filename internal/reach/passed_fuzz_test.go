package reach

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// FuzzReceiveConn has a ProxyCommand write anything where it is to pass a
// connection: bytes, and descriptors that are a socket, a file or a pipe. At most
// the first of them is kept, and that only as a connection.
func FuzzReceiveConn(f *testing.F) {
	f.Add([]byte{}, "")
	f.Add([]byte{0}, "s")
	f.Add([]byte("SSH-2.0-x\r\n"), "")
	f.Add([]byte{0}, "fp")
	f.Add([]byte{0, 0}, "ssss")
	f.Add([]byte{0}, "dssssssssssssssssssssssssssssssss")
	null, err := os.Open(os.DevNull)
	if err != nil {
		f.Fatal(err)
	}
	var pipe [2]int
	unix.Pipe(pipe[:])
	datagrams, _ := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	streams, _ := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	f.Cleanup(func() {
		null.Close()
		for _, fd := range append(append(pipe[:], datagrams[:]...), streams[:]...) {
			unix.Close(fd)
		}
	})
	open := func() int { l, _ := os.ReadDir("/dev/fd"); return len(l) }
	f.Fuzz(func(t *testing.T, said []byte, kinds string) {
		var with []int
		for _, k := range []byte(kinds[:min(len(kinds), 40)]) {
			with = append(with, []int{streams[0], int(null.Fd()), pipe[1], datagrams[0]}[k%4])
		}
		ours, theirs, err := socketPair()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		before := open()
		if len(said) > 0 {
			unix.Sendmsg(int(theirs.Fd()), said[:min(len(said), 4096)], unix.UnixRights(with...), nil, 0)
		}
		theirs.Close()
		ours.SetReadDeadline(time.Now().Add(time.Minute))
		nc, err := receiveConn(ours)
		if (nc == nil) == (err == nil) || nc != nil && (len(said) == 0 || len(with) == 0 || with[0] != streams[0]) {
			t.Errorf("%d bytes with %v: %v, %v", len(said), with, nc, err)
		}
		if nc != nil {
			nc.Close()
		}
		if after := open(); after != before-1 {
			t.Errorf("%d descriptors, before it were %d", after, before-1)
		}
	})
}

// FuzzNumeric: what is an address is not looked up, and is one in itself.
func FuzzNumeric(f *testing.F) {
	for _, s := range []string{"127.1", "::ffff:1.2.3.4", "fe80::1%eth0", "host", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := numeric(s)
		if !ok {
			return
		}
		if again, ok := numeric(a.String()); !ok || again != a || a.Is4In6() {
			t.Errorf("%q is %v and then %v, %v", s, a, again, ok)
		}
	})
}
