package wire

import "time"

// pace is how fast a server is heard between its new keys and the request to be
// logged in. In that time the SSH library ends the connection over the first packet
// that it did not expect, and its reader, which goes on taking what comes, would
// stand at the seventeenth for ever: it waits for somebody who has left, and until
// the login's first question nothing that the library shows leads to it (see package
// stuck for what does later). A reader that waits for bytes is freed by Close.
//
// So it gets what fits among those sixteen, and no more until the library had time
// to look at it. Two packets belong there (RFC 8308 section 2.4, RFC 4253 section
// 10), with OpenSSH's server some 350 bytes, which are let through at once.
type pace struct {
	over  bool
	given int       // bytes that the library was handed so far
	asked int32     // writes before the keys
	left  int       // bytes of the piece
	since time.Time // of the last piece; zero before the first
}

const (
	// piecePackets is one less than the library's room: the keys count as one.
	piecePackets = 15
	// leastPacket is the shortest that the library takes from AES-GCM and chacha20: a
	// length, that of the padding, one byte, four of padding, and the tag; and with
	// hmac-sha1, whose packets need no padding there, as long.
	leastPacket = 4 + 1 + 1 + 4 + 16
	// turn is how long the library has to look at a piece: to be scheduled, compare a
	// byte, and close the connection. It is less than a round trip, mostly, so that what
	// is asked for comes no later for it.
	turn = 2 * time.Millisecond
)

// piece is how much of what is unread the library gets now; nothing when the
// connection is closed.
func (w *Conn) piece() int {
	a := &w.pace
	begin, end, over := w.first.Keys()
	n := len(w.unread)
	switch {
	case !over:
	case end == 0:
		a.over = true
	case a.given < begin:
		n = min(n, begin-a.given)
	case a.given < end:
		// The library reads this packet when it has sent its own keys: what it writes
		// next asks for the service, and then to be logged in.
		a.asked = w.writes.Load()
		n = min(n, end-a.given)
	case w.writes.Load()-a.asked >= 2:
		a.over = true
	default:
		n = min(n, w.inTurn())
	}
	return n
}

// inTurn is how much is left of a piece, or that of the next one, for which it
// waits.
func (w *Conn) inTurn() int {
	a := &w.pace
	if a.left <= 0 {
		if !a.since.IsZero() {
			t := time.NewTimer(time.Until(a.since.Add(turn)))
			defer t.Stop()
			select {
			case <-t.C:
			case <-w.closed:
			}
		}
		select {
		case <-w.closed:
			return 0
		default:
		}
		a.left, a.since = piecePackets*leastPacket, time.Now()
	}
	return a.left
}
