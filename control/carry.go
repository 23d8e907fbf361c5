package control

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"muxd/socket"
)

// linger is how long bytes that a client left behind on its socket may wait for
// the far side to take any of them, and how long a stream of which both sides
// have ended, or whose client has left, may take to end by itself.
const linger = 10 * time.Second

// farAtRest is the buffer of a stream that says nothing, in bytes.
const farAtRest = 1 << 10

// carriage moves the bytes of a stdio forward between its stream and the socket
// that the client handed over for them.
//
//	socket ── in ──► stream        in: Receive, Write; at its end CloseWrite
//	socket ◄── out ── stream       out: Read, Write; at its end CloseWrite
//
// Each direction ends by itself, and after the last of its bytes. A client that
// is killed shows at its end of the socket, whether or not it has a connection
// for the operation too; so that is where its leaving is looked for.
type carriage struct {
	st      Stream
	end     *socket.End
	m       *Meter
	linger  time.Duration
	ended   atomic.Bool // nothing more goes to the client
	writing atomic.Bool // in waits for the far side
}

// carry is an operation whose bytes travel on the socket.
func (o *operation) carry(ctx, muxd context.Context, st Stream, p *Plan) error {
	o.attach(st)
	o.w.send(frameOpened, creditBody(0)) // a client that is gone shows on its socket too
	c := &carriage{st: st, end: o.end, m: p.meter(), linger: linger}
	exit, err := c.run(muxd, ctx, func() { o.w.send(frameStdoutEOF, nil) })
	if err != nil {
		return asError(Running, err)
	}
	return o.w.finish(frameExit, exit.encode())
}

// pass ends the operation of a client that passes its end of the socket on to
// whoever started it, and returns what goes on. A client that went instead has
// left nobody at its end.
func (o *operation) pass(st Stream, p *Plan, release func()) (rest func(context.Context), err error) {
	c := &carriage{st: st, end: o.end, m: p.meter(), linger: linger}
	o.w.hold(frameOpened, creditBody(0))
	return func(ctx context.Context) {
		defer release()
		c.run(ctx, context.Background(), func() {})
	}, o.w.finish(frameExit, Exit{}.encode())
}

// suits reports what the plan and the descriptor that came have against each
// other.
func (o *operation) suits(p *Plan) error {
	text := ""
	switch {
	case p.FdPass && p.Direct == nil:
		text = "FdPass passes a connection of -W on, and there is none"
	case p.FdPass && o.end == nil:
		text = "FdPass wants a socket as standard output, and to stand on the command line: ssh -o ProxyUseFdpass=yes -o ProxyCommand='muxc -o FdPass=yes -W [%h]:%p HOST'"
	case o.end != nil && p.Direct == nil:
		text = "a descriptor came with a request that opens no connection of -W"
	default:
		return nil
	}
	return &Error{Phase: NotDialled, Host: p.Host, Text: text}
}

// run copies until the stream has ended, and returns how. The socket is closed
// after that, and after the client was told of it, so that a client that finds it
// closed has the verdict. When ctx ends, so does the stream. Left ends when the client has left,
// if that shows elsewhere than on the socket. Eof is called when the far side
// has ended sending, and the other direction goes on.
func (c *carriage) run(ctx, left context.Context, eof func()) (Exit, error) {
	over, cancel := context.WithCancel(ctx)
	defer c.st.Close()
	defer cancel()
	defer context.AfterFunc(ctx, func() { c.st.Close() })()
	defer context.AfterFunc(left, func() { c.outlive(over) })()
	go c.in(over)
	if c.out() == io.EOF {
		eof()
	}
	return c.st.Wait()
}

// out copies what the far side sends to the client. An error that is not the
// far side's end of sending ends nothing here: that the client must not read as
// an end, and the socket is closed when the verdict is known.
func (c *carriage) out() error {
	deaf := false
	err := copyOutput(c.st, farAtRest, c.m, func(b []byte) {
		if deaf {
			return
		}
		if _, err := c.end.Write(b[frameHeader:]); err != nil {
			deaf = true
			c.st.CloseRead()
		}
	})
	c.ended.Store(true)
	if err == io.EOF {
		c.end.CloseWrite()
	}
	return err
}

// in copies what the client sends, and then waits for it to leave, or for run to
// be over.
func (c *carriage) in(over context.Context) {
	var watch *time.Timer
	watch = time.AfterFunc(c.linger, func() { c.look(watch) })
	var err error
	for err == nil {
		watch.Stop()
		err = c.end.Receive(func(b []byte) error {
			c.writing.Store(true)
			defer c.writing.Store(false)
			watch.Reset(c.linger)
			n, err := c.st.Write(b)
			c.m.In.Add(int64(n))
			return wrapWrite(err)
		})
	}
	watch.Stop()
	var refused *writeError
	switch {
	case err == io.EOF:
		c.st.CloseWrite()
	case errors.As(err, &refused):
		c.end.CloseRead() // and the client's next write fails
	default:
		c.st.Close() // reset by the client, or closed by run
		return
	}
	c.end.WaitGone()
	if c.ended.Load() { // both have said all: the far side only has to close
		pause(over, c.linger)
	}
	c.st.Close()
}

// look ends a stream whose client has left while the far side takes nothing for
// as long as linger: a write that waits keeps in from noticing that. A client that
// is there may wait for as long as it likes.
func (c *carriage) look(again *time.Timer) {
	switch {
	case !c.writing.Load():
	case c.end.Gone():
		c.st.Close()
	default:
		again.Reset(c.linger)
	}
}

// outlive is called when the client's connection for the operation has ended.
// What it wrote to the socket before is still delivered; but a socket that
// somebody else goes on with is no client.
func (c *carriage) outlive(over context.Context) {
	if pause(over, c.linger) && !c.end.Gone() {
		c.st.Close()
	}
}

// pause waits, and reports false where ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// writeError is a stream's, to be told from the socket's.
type writeError struct{ error }

func wrapWrite(err error) error {
	if err == nil {
		return nil
	}
	return &writeError{err}
}
