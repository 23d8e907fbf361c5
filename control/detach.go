package control

import "io"

// Detach returns what another process of this program needs to go on with an
// operation whose session is open, beside its connection: the plan, and the
// bytes that were read and not yet looked at. It is called from
// Handler.Opened; after it this process must leave the connection alone.
//
// It stands for the fork of ssh -f, which a Go program cannot make.
func (o *Op) Detach() []byte {
	return append(appendFrame(nil, framePlan, o.plan.encode()), o.r.buf[o.r.start:o.r.end]...)
}

// Resume goes on with an operation that another process detached, by
// WaitStream. Its session is open, and standard input has ended.
func Resume(c Conn, state io.Reader) *Op {
	o := newOp(c)
	o.r.r = io.MultiReader(state, c)
	return o
}
