package streams

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"muxd/control"
)

// guard is a client's connection as the library sees it, which ends when the
// client pings and does not read the answers. The library answers each ping in a
// goroutine that waits until there is room, so that a flood of pings would take
// memory without end.
type guard struct {
	control.Conn
	in, out frames       // each owned by the library's one goroutine for its direction
	pings   atomic.Int64 // that were not answered
}

// Read implements control.Conn.
func (g *guard) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	g.in.pass(p[:n], func(flags uint16) {
		if flags&flagSYN != 0 {
			g.pings.Add(1)
		}
	})
	if pings := g.pings.Load(); err == nil && pings > control.MaxPings {
		return 0, fmt.Errorf("the client reads no answers to %d pings", pings)
	}
	return n, err
}

// Write implements control.Conn.
func (g *guard) Write(p []byte) (int, error) {
	n, err := g.Conn.Write(p)
	g.out.pass(p[:n], func(flags uint16) {
		if flags&flagACK != 0 {
			g.pings.Add(-1)
		}
	})
	return n, err
}

// Of yamux's header: version and type (u8 each), flags (u16), stream and length
// (u32 each). A length is followed by as many bytes in a frame of data alone.
const (
	headerLen = 12
	typeData  = 0
	typePing  = 2
	flagSYN   = 1
	flagACK   = 2
)

// frames finds the pings among the bytes of one direction.
type frames struct {
	head [headerLen]byte
	have int    // bytes of head
	skip uint32 // bytes of data that are still to come
}

// pass takes the next bytes, and calls ping with the flags of each ping in them.
func (f *frames) pass(b []byte, ping func(flags uint16)) {
	for len(b) > 0 {
		if f.skip > 0 {
			n := min(len(b), int(f.skip))
			b, f.skip = b[n:], f.skip-uint32(n)
			continue
		}
		n := copy(f.head[f.have:], b)
		b, f.have = b[n:], f.have+n
		if f.have < headerLen {
			continue
		}
		f.have = 0
		switch f.head[1] {
		case typeData:
			f.skip = binary.BigEndian.Uint32(f.head[8:])
		case typePing:
			ping(binary.BigEndian.Uint16(f.head[2:]))
		}
	}
}
