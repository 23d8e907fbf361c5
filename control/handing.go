package control

// FDConn is a Conn on which descriptors travel too.
type FDConn interface {
	Conn
	// WriteFDs writes all of p, and hands over fds with its first byte.
	WriteFDs(p []byte, fds ...int) (int, error)
}

// RunOn is Run for a stdio forward whose bytes travel on a socket and not in
// frames: fd is one end of a connected pair, which the server makes non-blocking,
// and the caller closes it when RunOn has returned. On the other end the client
// reads and writes from Handler.Opened on. It says by itself when each direction
// ends; whether that was a success only Wait says, unless the plan has it passed
// on.
func RunOn(c FDConn, v *Invocation, fd int) (*Op, error) {
	return start(c, v.encode(), fd)
}
