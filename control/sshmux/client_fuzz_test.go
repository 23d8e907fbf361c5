package sshmux

import (
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
)

// FuzzClient has a client of a door say anything behind its HELLO, with
// descriptors at any byte of it. It is cut or answered, leaves no descriptor
// behind, and the door answers the next one.
func FuzzClient(f *testing.F) {
	f.Add([]byte{}, uint16(0), byte(0))
	for _, m := range messages {
		wire := []byte(u(string(rune(len(m.wire)))) + m.wire)
		if len(m.wire) > 0x7f {
			continue // the helpers write lengths of one byte
		}
		f.Add(wire, uint16(0), byte(0))
		f.Add(append(wire[:len(wire):len(wire)], 0, 0, 0), uint16(len(wire)), byte(3))
		f.Add(append(wire[:len(wire):len(wire)], wire...), uint16(3), byte(9))
	}
	b, ch := sessions(false)
	go func() {
		for o := range ch {
			go func() { io.Copy(io.Discard, o.In); o.End(control.Exit{}, nil) }()
		}
	}()
	doors := NewDoors(b, quiet{}, muxdPID, f.TempDir())
	f.Cleanup(doors.Close)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must(f, err)
	f.Cleanup(func() { null.Close() })
	descriptors()
	f.Fuzz(func(t *testing.T, said []byte, at uint16, n byte) {
		r := &rig{t: t, doors: doors, dir: doors.Dir}
		if doors.At(r.path()) == nil {
			r.serve()
		}
		before := descriptors()
		c := r.greet()
		c.SetDeadline(time.Now().Add(patience))
		cut := int(at) % (len(said) + 1)
		c.Write(said[:cut])
		if with := slices.Repeat([]int{int(null.Fd())}, int(n)%12); cut < len(said) && len(with) > 0 {
			c.WriteMsgUnix(said[cut:], unix.UnixRights(with...), nil)
		} else {
			c.Write(said[cut:])
		}
		c.CloseWrite()
		io.Copy(io.Discard, c)
		c.Close()
		if doors.At(r.path()) != nil { // it may have been told to go
			r.left(0)
		}
		eventually(t, "descriptors are left", func() bool { return descriptors() <= before })
	})
}
