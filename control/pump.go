package control

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"muxd/internal/fdio"
)

// pump moves the session's bytes until it ended, and returns how. The exit frame
// is the last one: it goes out only after both outputs were written to their
// end, so that a client that has it has everything; and after the client's own
// descriptors were closed, so that it is alone with them.
func (o *operation) pump(ctx context.Context, st Stream, p *Plan) (Exit, error) {
	m := p.meter()
	o.onTTY, o.line.escape = fdio.Terminals && o.terminals && p.TTY && !p.StdinNull && !p.Background, p.Escape
	defer o.endTerminal()
	defer o.passed.close()
	if p.StdinNull {
		st.CloseWrite()
	} else {
		go o.pumpStdin(st, m)
	}
	stderr := make(chan struct{})
	go func() {
		defer close(stderr)
		o.pumpOutput(ctx, 1, st.Stderr(), m, func(error) {})
	}()
	var noRoom error
	if err := o.pumpOutput(ctx, 0, st, m, func(why error) {
		if full(why) {
			noRoom = why
		}
		st.CloseRead()
	}); p.Direct != nil && err == io.EOF {
		// Whoever reads the client's stdout may wait for its end before it
		// closes the other direction.
		o.passed.closeOutputs()
		o.w.send(frameStdoutEOF, nil)
	}
	<-stderr
	exit, err := st.Wait()
	if err == nil && noRoom != nil {
		return Exit{}, cutOff(p.Host, noRoom)
	}
	return exit, err
}

// outputBuffers are borrowed for as long as output flows. Who reads can not tell
// whether more comes: the buffer that took the last bytes is the one that waits.
// A few of these stay large, because bulk comes in pieces that do not fill them
// and a small read before each would cost a write; the others go back.
var (
	outputBuffers = sync.Pool{New: func() any { return new([frameHeader + maxData]byte) }}
	lent          atomic.Int32 // how many are borrowed
)

// lentAtRest is how many of them may wait for output: 2 MiB in all.
const lentAtRest = 16

// smallOutput is the buffer of a session that says little.
const smallOutput = 4 << 10

// pumpOutput copies output n to the client until its end: in frames, and once it
// proves to be bulk to the client's own descriptor, if that can be had. When
// neither takes anything any more it goes on reading, so that the session can end.
// Of a descriptor that takes no more, closed is told; of a client that takes no
// frames, its reader closes the session.
func (o *operation) pumpOutput(ctx context.Context, n int, r io.Reader, m *Meter, closed func(error)) error {
	sent, deaf := 0, false
	return copyOutput(r, smallOutput, m, func(b []byte) {
		if deaf {
			return
		}
		if n == 0 && o.onTTY {
			if b = o.onTerminal(b); len(b) == 0 {
				return
			}
		}
		w := o.passed.outlet(n)
		if w == nil {
			bulk := sent >= passFrom || n == 0 && o.typed.Load()
			if sent += len(b); bulk {
				sent = 0 // a client that has lost its terminal is asked again after as much
			}
			if w = o.inFrames(ctx, n, b, bulk); w == nil {
				return
			}
		}
		if err := w.write(b[frameHeader:]); err != nil {
			deaf = true
			closed(err)
		}
	})
}

// inFrames sends a piece of output n, unless it is to go to the descriptor that
// is returned.
func (o *operation) inFrames(ctx context.Context, n int, b []byte, bulk bool) *output {
	o.outputs <- struct{}{}
	defer func() { <-o.outputs }()
	if bulk && o.passed.first() {
		o.askOutputs(ctx)
		if n == 0 && o.onTTY {
			b = o.onTerminal(b)
		}
	}
	w := o.passed.outlet(n)
	if w == nil && len(b) > frameHeader {
		o.w.sendData(frameStdout+frameType(n), b)
	}
	return w
}

// carryStdin copies the client's own standard input to the session. Nothing is
// read once the command takes no more: that is for whoever reads it next.
func carryStdin(st Stream, in *fdio.Reader, m *Meter) {
	err := copyBytes(in, smallOutput, func(b []byte) {
		n, err := st.Write(b[frameHeader:])
		m.In.Add(int64(n))
		if err != nil {
			in.Close()
		}
	})
	if !errors.Is(err, os.ErrClosed) { // what cannot be read has ended, as for the client
		st.CloseWrite()
		in.Close()
	}
}

// copyOutput reads to the end, whose error it returns, and hands on what comes,
// with room for a frame's header before it. Its buffer is the small one, of that
// many bytes, while little comes.
func copyOutput(r io.Reader, atRest int, m *Meter, put func(b []byte)) error {
	return copyBytes(r, atRest, func(b []byte) {
		m.Out.Add(int64(len(b) - frameHeader))
		put(b)
	})
}

// copyBytes is copyOutput for either direction.
func copyBytes(r io.Reader, atRest int, put func(b []byte)) error {
	small := make([]byte, frameHeader+atRest)
	var big *[frameHeader + maxData]byte
	back := func() {
		if big != nil {
			outputBuffers.Put(big)
			lent.Add(-1)
			big = nil
		}
	}
	defer back()
	b := small
	for {
		n, err := r.Read(b[frameHeader:])
		if n > 0 {
			put(b[:frameHeader+n])
		}
		if err != nil {
			return err
		}
		switch full := n == len(b)-frameHeader; {
		case full && big == nil:
			big = outputBuffers.Get().(*[frameHeader + maxData]byte)
			lent.Add(1)
			b = big[:]
		case n < atRest, !full && lent.Load() > lentAtRest:
			back()
			b = small
		}
	}
}

// creditStep is the least credit that is given at once, and the most that is
// written to the session at once, in bytes: an eighth of the credit. So a
// keystroke costs no frame back, and bulk goes on while its first part is
// being taken. A client without credit is owed all of it, so what is held back
// below the step never stops one.
const creditStep = stdinCredit / 8

// pumpStdin copies what the client sent to the session, and gives credit for
// what the session took.
func (o *operation) pumpStdin(st Stream, m *Meter) {
	owed, taken, asked := 0, 0, false
	for {
		b, err := o.in.take()
		if err == errLent {
			if !o.carryTerminal(st, m) {
				return
			}
			asked = false
			continue
		}
		if err == io.EOF {
			if in := o.in.handed(); in != nil {
				carryStdin(st, in, m)
				return
			}
			st.CloseWrite()
			return
		}
		if err != nil {
			return
		}
		for piece := range slices.Chunk(b, creditStep) {
			n, err := st.Write(piece)
			m.In.Add(int64(n))
			if err != nil {
				// The command closed its stdin, or ended. Without further credit the
				// client leaves the rest of its stdin to whoever reads it next; the
				// end of the session it learns by the exit frame.
				return
			}
			o.in.used(n)
			if owed += n; owed >= creditStep {
				o.w.send(frameCredit, creditBody(owed))
				owed = 0
			}
		}
		taken += len(b)
		asked = asked || o.askInput(taken)
	}
}

// stdinQueue holds the stdin bytes that a client sent and the session has not
// taken, bounded by the credit the client was given.
type stdinQueue struct {
	mu     sync.Mutex
	cond   sync.Cond
	max    int          // guarded by mu
	buf    []byte       // guarded by mu
	out    []byte       // owned by take's caller until the next take
	unpaid int          // guarded by mu; bytes in buf, and in out not yet used
	ended  bool         // guarded by mu; EOF was sent
	lent   bool         // guarded by mu; the client's terminal is read here
	next   *fdio.Reader // guarded by mu; what is read behind it, nil for nothing
	closed bool         // guarded by mu; the client is gone
}

// queueAtRest is how much of its buffers a queue keeps once it was emptied of
// less than that, in bytes: enough for keystrokes and a shell loop, little for
// a daemon with hundreds of sessions. While bulk flows the buffers stay, though
// the queue is empty again and again: making them anew costs two thirds of the
// throughput.
const queueAtRest = 32 << 10

var errCredit = errors.New("more stdin than the credit allows, or after its end")

func newStdinQueue() *stdinQueue {
	q := new(stdinQueue)
	q.cond.L = &q.mu
	return q
}

// allow says how much the client may have under way; before it is nothing.
func (q *stdinQueue) allow(n int) {
	q.mu.Lock()
	q.max = n
	q.mu.Unlock()
}

// handOver is eof where the client's own input goes on behind what it sent.
func (q *stdinQueue) handOver(in *fdio.Reader) {
	q.mu.Lock()
	q.next = in
	q.mu.Unlock()
	q.eof()
}

func (q *stdinQueue) handed() *fdio.Reader {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.next
}

// put never blocks; a client that sends beyond its credit is at fault.
func (q *stdinQueue) put(b []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended || q.lent || q.unpaid+len(b) > q.max {
		return errCredit
	}
	q.buf = append(q.buf, b...)
	q.unpaid += len(b)
	q.cond.Signal()
	return nil
}

func (q *stdinQueue) eof() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.cond.Signal()
}

func (q *stdinQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.cond.Signal()
}

// take waits for bytes and returns all there are; io.EOF after the last, and
// io.ErrClosedPipe when the client is gone, whose bytes then count no more.
func (q *stdinQueue) take() ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.buf) == 0 && (len(q.out) < queueAtRest || q.ended) && cap(q.buf)+cap(q.out) > queueAtRest {
		q.buf, q.out = nil, nil
	}
	q.out = q.out[:0]
	for len(q.buf) == 0 && !q.ended && !q.closed && !q.lent {
		q.cond.Wait()
	}
	switch {
	case q.closed:
		return nil, io.ErrClosedPipe
	case len(q.buf) == 0 && q.lent:
		return nil, errLent
	case len(q.buf) == 0:
		return nil, io.EOF
	}
	q.buf, q.out = q.out, q.buf
	return q.out, nil
}

// used says that n bytes of the last take were passed on. It comes before the
// client is told so: the client may answer a credit at once.
func (q *stdinQueue) used(n int) {
	q.mu.Lock()
	q.unpaid -= n
	q.mu.Unlock()
}
