package control

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"muxd/socket"
)

// stdinCredit is how many bytes of standard input a client may have under way.
// It is a quarter of an SSH channel's window: enough to keep the link busy, and
// all that one client can make muxd hold.
const stdinCredit = 512 << 10

// operation is one request under way, on the server's side.
//
// The client's frames are read by one goroutine that never waits for anything
// else: not for the session to take stdin (the credit bounds what is held), and
// not for the client to read (only the pumps write). So a client that dies,
// interrupts or resizes is heard at once, whatever the session does.
type operation struct {
	s   *Server
	c   Conn
	pid int
	r   frameReader // owned by read
	w   *frameWriter
	in  *stdinQueue
	end *socket.End // for a stdio forward's bytes; nil where none came, and then they travel elsewhere

	terminals bool        // the client's standard input, output and error are terminals
	onTTY     bool        // written before the pumps begin; its terminal may be asked for
	line      line        // of that terminal
	typed     atomic.Bool // somebody types

	outputs chan struct{} // capacity 1; filled while output is handed to the client in frames
	passed  passed

	mu      sync.Mutex
	door    Door                   // guarded by mu; what the client stands for, nil for nothing
	stream  Stream                 // guarded by mu; nil until the session is open
	size    *Window                // guarded by mu; a resize that came before stream
	prompts map[uint32]chan answer // guarded by mu; unanswered, commands too
	lastID  uint32                 // guarded by mu
	gone    bool                   // guarded by mu; the client's socket ended

	impatient chan struct{} // capacity 1; the person wants another attempt now

	over atomic.Bool // the last frame was written; nothing more is taken
}

// answer is the client's, to a prompt or about a command.
type answer struct {
	a   Answer
	ran Ran
	err error
}

func newOperation(s *Server, c Conn, pid int) *operation {
	return &operation{s: s, c: c, pid: pid, r: frameReader{r: c}, w: newFrameWriter(c),
		in: newStdinQueue(), prompts: map[uint32]chan answer{}, impatient: make(chan struct{}, 1),
		outputs: make(chan struct{}, 1), passed: passed{answer: make(chan struct{}, 1)}}
}

// run carries the request out and writes its last frame. It returns when
// nothing of the operation is left but, at most, what reads and writes a session
// that was closed and whose server has not agreed to that, and what it returns: a
// connection that goes on without its client, and without the operation, until ctx
// ends.
func (o *operation) run(ctx context.Context, request []byte) (rest func(ctx context.Context)) {
	// A client that does not read must not hold up the end of muxd.
	// Its own descriptors know no deadline, and go with its connection.
	defer context.AfterFunc(ctx, func() {
		o.c.SetWriteDeadline(time.Now().Add(stopGrace))
		time.AfterFunc(stopGrace, func() { o.c.Close() })
	})()
	muxd := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	readDone := make(chan struct{})
	go func() { defer close(readDone); o.read(cancel) }()
	rest, err := o.dispatch(ctx, muxd, request)
	o.passed.close()
	if err != nil {
		e := asError(NotDialled, err)
		if e.Elsewhere {
			o.w.hold(frameElsewhere, nil)
		}
		o.w.finish(frameError, e.encode())
	}
	// The deadline ends the reader also on a stream, whose Close is only a half
	// one and would leave it reading for as long as the client likes; the flag
	// does so where the client sends faster than it is read.
	o.over.Store(true)
	o.c.SetReadDeadline(time.Unix(1, 0))
	o.c.Close()
	<-readDone
	return rest
}

// dispatch carries out a request. Ctx ends when the client leaves, and with
// muxd.
func (o *operation) dispatch(ctx, muxd context.Context, request []byte) (rest func(context.Context), err error) {
	d := &decoder{b: request}
	if k := op(d.u8()); k != opRun { // which is 0 of a request that is empty: a stream's may be
		return nil, o.reply(ctx, k, d)
	}
	v := &Invocation{PID: o.pid}
	if err := v.decode(d); err != nil {
		return nil, err
	}
	return o.invoke(ctx, muxd, v)
}

// reply carries out a request that opens nothing.
func (o *operation) reply(ctx context.Context, k op, d *decoder) error {
	switch k {
	case opStatus:
		r := &StatusRequest{Probe: d.bool()}
		if err := d.done(); err != nil {
			return err
		}
		st, err := o.s.Backend.Status(ctx, r)
		if err != nil {
			return err
		}
		return o.w.finish(frameResult, st.encode())
	case opStop:
		r := &StopRequest{Force: d.bool(), Drain: d.bool(), Waits: o.Waiting}
		if err := d.done(); err != nil {
			return err
		}
		st, err := o.s.Backend.Stop(ctx, r)
		if err != nil {
			return err
		}
		return o.w.finish(frameResult, st.encode())
	case opAdmin:
		return o.admin(ctx, d)
	case opEvents:
		return o.events(ctx, d)
	}
	return &Error{Phase: NotDialled, Text: "a request this muxd does not know"}
}

// asError gives every error a phase: its own, or the latest that it can have
// come to where it occurred, because a command that may have run must never be
// taken for one that has not.
func asError(latest ErrorPhase, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Phase: latest, Text: err.Error()}
}

func (o *operation) invoke(ctx, muxd context.Context, v *Invocation) (rest func(context.Context), err error) {
	o.terminals = v.TTY == [3]bool{true, true, true}
	p, err := o.s.Backend.Resolve(ctx, v, o)
	if err != nil {
		return nil, err
	}
	o.w.hold(framePlan, p.encode())
	switch {
	case p.HandOver != nil:
		return nil, o.w.finish(frameExit, Exit{}.encode())
	case p.Text != nil:
		return nil, o.print(p.Text, p.Code)
	case p.Manage != nil:
		return nil, o.manage(ctx, p.Manage)
	}
	if err := o.suits(p); err != nil {
		return nil, err
	}
	release := func() {}
	if p.Forward != nil {
		if release, err = o.s.Backend.Forward(ctx, p.Forward, o); err != nil {
			return nil, err
		}
	}
	if p.Detach && p.Hold == nil {
		release()
		return nil, o.w.finish(frameExit, Exit{}.encode())
	}
	door, err := o.listen(ctx, p)
	if err != nil {
		release()
		return nil, err
	}
	defer door.Close()
	st, err := o.open(ctx, p)
	if err != nil {
		release()
		return nil, err
	}
	if p.Listen != nil && p.Listen.Stay {
		door.Keep()
	}
	if p.Detach { // the connection is there, and stays for whoever comes by the door
		st.Close()
		release()
		return nil, o.w.finish(frameExit, Exit{}.encode())
	}
	if p.FdPass {
		return o.pass(st, p, release)
	}
	defer release()
	if o.end != nil {
		door.Opened()
		return nil, o.carry(ctx, muxd, st, p)
	}
	defer st.Close()
	// The session ends with its client, and with muxd.
	defer context.AfterFunc(ctx, func() { st.Close() })()
	return nil, o.session(ctx, st, p, door)
}

// open opens what the plan asks for. Of a session that failed in a phase that
// is not known, the command may have run.
func (o *operation) open(ctx context.Context, p *Plan) (st Stream, err error) {
	switch {
	case p.Session != nil:
		if st, err = o.s.Backend.Session(ctx, p.Session, o); err != nil {
			err = asError(Sent, err)
		}
	case p.Direct != nil:
		if st, err = o.s.Backend.Direct(ctx, p.Direct, o); err != nil {
			err = asError(Lost, err)
		}
	case p.Hold != nil:
		st, err = o.s.Backend.Hold(ctx, p.Hold, o)
	default:
		err = &Error{Phase: NotDialled, Host: p.Host, Text: "muxd found nothing to do"}
	}
	return st, err
}

// print is an operation that has its answer already.
func (o *operation) print(text []byte, code int) error {
	for piece := range slices.Chunk(text, maxData) {
		o.w.hold(frameStdout, piece)
	}
	return o.w.finish(frameExit, Exit{Code: uint32(code)}.encode())
}

// session carries an open session to its end.
func (o *operation) session(ctx context.Context, st Stream, p *Plan, door Door) error {
	o.attach(st)
	if p.TTY && !st.TTY() {
		p.TTY, p.Reattach = false, false
		o.w.hold(framePlan, p.encode())
		if !p.Quiet {
			o.Notice("PTY allocation request failed: the session goes on without a terminal")
		}
	}
	credit := stdinCredit
	if p.StdinNull {
		credit = 0
	}
	o.in.allow(credit)
	if err := o.w.send(frameOpened, creditBody(credit)); err != nil {
		return nil // the client is gone; nobody to tell
	}
	door.Opened()
	if p.Hold != nil {
		defer o.whileServed(st, door)()
	}
	exit, err := o.untilLeft(ctx, st, p)
	if p.Hold != nil && door.Ended() {
		exit, err = Exit{}, nil // that was asked for
	}
	door.Drain(ctx)
	if err != nil {
		return asError(Running, err)
	}
	return o.w.finish(frameExit, exit.encode())
}

// errLeft ends an operation whose client has left, and whose session the server
// has not ended all the same.
var errLeft = errors.New("the client has left, and the server does not end its session")

// untilLeft pumps the session to its end. A server may take its time to agree to
// the end of a session whose client has left, or never do so; what reads the
// session then goes on without an operation, which would be counted for as long.
func (o *operation) untilLeft(ctx context.Context, st Stream, p *Plan) (exit Exit, err error) {
	ended := make(chan struct{})
	var e Exit
	var perr error
	go func() { defer close(ended); e, perr = o.pump(ctx, st, p) }()
	select {
	case <-ended:
		return e, perr
	case <-ctx.Done():
	}
	t := time.NewTimer(linger)
	defer t.Stop()
	select {
	case <-ended:
		return e, perr
	case <-t.C:
		return Exit{}, errLeft
	}
}

func (o *operation) manage(ctx context.Context, r *ManageRequest) error {
	if o.s.Doors != nil && r.Path != "" && (r.Command == "stop" || r.Command == "exit") {
		o.s.Doors.StopPath(r.Path)
	}
	m, err := o.s.Backend.Manage(ctx, r)
	if err != nil {
		return err
	}
	return o.managed(m)
}

func creditBody(n int) []byte {
	e := encoder{}
	e.u32(uint32(n))
	return e.b
}

// attach hands the open session to the reader, and to the session the size
// that its terminal has by now.
func (o *operation) attach(st Stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stream = st
	if o.size != nil {
		st.Resize(*o.size)
	}
}

// read takes the client's frames until its socket ends, or it sends what no
// client sends, and then lets everything go: the request if it waits, the
// session if it runs, and the socket, in case that a pump waits for a client
// that half went away or never reads.
func (o *operation) read(cancel context.CancelFunc) {
	var err error
	for err == nil && !o.over.Load() {
		var t frameType
		var b []byte
		if t, b, err = o.r.next(); err == nil {
			err = o.handle(t, b)
		}
	}
	if atFault(err) && !o.over.Load() {
		o.s.Log.Warn("client cut", "pid", o.pid, "err", err)
	}
	cancel()
	o.passed.close() // at once: whoever reads that input next may already do
	o.in.close()
	o.mu.Lock()
	o.gone = true
	for id, ch := range o.prompts {
		ch <- answer{err: errClientGone}
		delete(o.prompts, id)
	}
	o.mu.Unlock()
	if errors.Is(err, io.EOF) {
		// It may have ended its direction alone, and is then told how far its
		// request had come. One that has gone altogether fails the write at once.
		o.c.SetWriteDeadline(time.Now().Add(stopGrace))
		return
	}
	o.c.Close()
}

// atFault reports an error that is what the client sent, not that it went.
func atFault(err error) bool {
	return errors.Is(err, errShort) || errors.Is(err, errCredit) || errors.Is(err, errFrame) || errors.Is(err, errPassed)
}

// handle is one frame from the client.
func (o *operation) handle(t frameType, b []byte) error {
	switch t {
	case frameStdin:
		return o.in.put(b)
	case frameStdinEOF:
		o.in.eof()
	case frameResize:
		d := decoder{b: b}
		w := d.window()
		if err := d.done(); err != nil {
			return err
		}
		o.resize(w)
	case frameSignal:
		d := decoder{b: b}
		name := d.str()
		if err := d.done(); err != nil {
			return err
		}
		if st := o.current(); st != nil {
			st.Signal(name)
		}
	case frameAnswer:
		return o.answered(b)
	case frameRetry:
		o.retry()
	case frameRan:
		return o.ranCommand(b)
	case framePassed:
		return o.handOver(b)
	case frameMoved:
		return o.moved(b)
	case frameOutputClosed:
		if st := o.current(); st != nil {
			st.CloseRead()
		}
	default:
		return errShort
	}
	return nil
}

func (o *operation) current() Stream {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stream
}

func (o *operation) resize(w Window) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.door != nil {
		o.door.Resized() // stock ssh told the client of another terminal's
	}
	if o.stream == nil {
		o.size = &w
		return
	}
	if o.stream.TTY() {
		o.stream.Resize(w)
	}
}
