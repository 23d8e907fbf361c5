package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ErrNotTaken: the connection ended before the server's hello, so the server
// took nothing on and the request may be made again. An *Error may match it too.
var ErrNotTaken = errors.New("muxd went away before it took the request")

// ErrSilent: muxd accepted the connection and says nothing.
var ErrSilent = errors.New("muxd does not answer (stopped or stuck): muxd stop --force ends it")

// ErrGone: muxd went away in the middle of an operation, or sent what no muxd
// sends, and is of no use any more. The command may have run, even if the
// session was never reported open.
var ErrGone = errors.New("muxd went away")

// Conn is what the protocol runs on: a connected Unix socket, or a stream.
type Conn interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Handler is the client's side of an operation: where things are shown.
// Its methods are called from the goroutine in Wait, except Prompt, which has
// one of its own so that a prompt can be cancelled. It must return when its
// context ends: Wait does not return before it, so that the terminal is as it
// was, and no two prompts ever read the same terminal.
type Handler interface {
	Prompter
	// Opened says that the session is open: now standard input may be read.
	Opened(p *Plan)
	// Stdout and Stderr take output; an error from Stdout tells the other side
	// that nobody reads it, and ends the calls of Stdout.
	Stdout(b []byte) error
	Stderr(b []byte) error
	// StdoutEOF says that nothing follows on stdout, while stdin goes on.
	StdoutEOF()
}

// Op is one operation, seen from the client. Its methods may be called from
// any goroutine, Wait from one.
type Op struct {
	conn Conn
	r    frameReader // owned by Wait
	w    *frameWriter
	plan Plan // written by Wait before Handler.Opened

	exact bool // the hello is read without read-ahead

	mu     sync.Mutex
	cond   sync.Cond // on mu: credit or over changed
	credit int       // guarded by mu; bytes of stdin the server takes
	over   bool      // guarded by mu; the operation ended
	stdin  *Stdio    // guarded by mu; what is to be handed over before more is read, nil for nothing
	term   lending   // guarded by mu

	asking *asking // owned by Wait; the prompt being asked, or nil
	deaf   bool    // owned by Wait; nobody reads stdout
	full   error   // owned by Wait; there was no room for stdout, and why

	elsewhere bool // owned by Wait; another muxd takes the request that this one refuses

	event func(Event) error // of an operation that tells of events, or nil
}

// asking is a prompt that was shown.
type asking struct {
	id     uint32
	cancel context.CancelFunc
	done   chan struct{} // closed when Handler.Prompt returned
}

func newOp(c Conn) *Op {
	o := &Op{conn: c, r: frameReader{r: c}, w: newFrameWriter(c)}
	o.cond.L = &o.mu
	return o
}

// Run starts an invocation on a new connection. It writes once and does not
// wait; everything that comes back comes through Wait.
func Run(c Conn, v *Invocation) (*Op, error) { return start(c, v.encode()) }

// RunStream starts an invocation on a stream of a connection that carries many
// operations.
func RunStream(c Conn, v *Invocation) (*Op, error) {
	o := newOp(c)
	return o, o.w.send(frameRequest, v.encode())
}

// Plan returns what muxd made of the invocation, once Handler.Opened was
// called.
func (o *Op) Plan() *Plan { return &o.plan }

// Wait carries an invocation to its end: it shows output, asks prompts and
// returns how the command ended. The error is an *Error from muxd, ErrNotTaken
// or ErrSilent when nothing was begun, or ErrGone.
func (o *Op) Wait(h Handler) (Exit, error) {
	defer o.end()
	if _, err := o.hello(); err != nil {
		return Exit{}, err
	}
	return o.WaitStream(h)
}

// WaitStream is Wait for an operation started by RunStream.
func (o *Op) WaitStream(h Handler) (exit Exit, err error) {
	defer o.end()
	for {
		t, b, err := o.r.next()
		switch {
		case errors.Is(err, errFrame):
			return Exit{}, fmt.Errorf("%w: %w", ErrGone, err)
		case err != nil:
			return Exit{}, ErrGone
		}
		done, exit, err := o.handle(h, t, b)
		if errors.Is(err, errShort) {
			err = fmt.Errorf("%w: %w", ErrGone, err)
		}
		if done || err != nil {
			return exit, err
		}
	}
}

// handle is one frame from the server.
func (o *Op) handle(h Handler, t frameType, b []byte) (done bool, exit Exit, err error) {
	switch t {
	case framePlan:
		err = o.plan.decode(b)
	case frameOpened, frameCredit:
		d := decoder{b: b}
		n := int(d.u32())
		if err = d.done(); err == nil {
			o.addCredit(n)
		}
		if t == frameOpened && err == nil {
			h.Opened(&o.plan)
		}
	case frameStdout:
		if o.deaf {
			break
		}
		if err := h.Stdout(b); err != nil {
			o.deaf = true
			if full(err) {
				o.full = err
			}
			o.w.send(frameOutputClosed, nil)
		}
	case frameStderr:
		h.Stderr(b) // nobody to tell: stderr is where one would
	case frameStdoutEOF:
		h.StdoutEOF()
	case framePass:
		err = o.passes(h, b)
	case framePrompt:
		err = o.prompt(h, b)
	case frameCommand:
		err = o.command(h, b)
	case framePromptCancel:
		d := decoder{b: b}
		id := d.u32()
		if err = d.done(); err == nil && o.asking != nil && o.asking.id == id {
			o.cancelPrompt()
		}
	case frameNotice:
		d := decoder{b: b}
		text := d.str()
		if err = d.done(); err == nil {
			h.Notice(text)
		}
	case frameWaiting:
		var w Waiting
		if w, err = decodeWaiting(b); err == nil {
			h.Waiting(w)
		}
	case frameEvent:
		var e Event
		if e, err = decodeEvent(b); err == nil && o.event != nil {
			err = o.event(e)
		}
	case frameExit:
		if exit, err = decodeExit(b); err == nil && o.full != nil {
			err = cutOff(o.plan.Host, o.full)
		}
		return true, exit, err
	case frameError:
		var e *Error
		if e, err = decodeError(b); err == nil {
			e.Elsewhere = o.elsewhere && !e.Phase.MayHaveRun()
			err = e
		}
	case frameElsewhere:
		o.elsewhere = true
	case frameBack:
		err = o.terminalBack(h, b)
	}
	// A frame of an unknown type is a newer muxd's remark: versions that need
	// an answer have another version number.
	return false, exit, err
}

// prompt asks in a goroutine of its own, because the server may take the
// question back while the person thinks.
func (o *Op) prompt(h Handler, b []byte) error {
	id, q, err := decodePrompt(b)
	if err != nil {
		return err
	}
	o.answer(id, frameAnswer, func(ctx context.Context) []byte {
		o.awaitBack(ctx)
		a, err := h.Prompt(ctx, q)
		return encodeAnswer(id, a, err)
	})
	return nil
}

// command runs a command, which like a prompt may be taken back.
func (o *Op) command(h Handler, b []byte) error {
	id, c, err := decodeCommand(b)
	if err != nil {
		return err
	}
	o.answer(id, frameRan, func(ctx context.Context) []byte {
		r, err := h.Run(ctx, c)
		return encodeRan(id, r, err)
	})
	return nil
}

// answer takes back what was asked before, and sends what f comes to unless
// that is taken back too.
func (o *Op) answer(id uint32, t frameType, f func(ctx context.Context) []byte) {
	o.cancelPrompt()
	ctx, cancel := context.WithCancel(context.Background())
	k := &asking{id, cancel, make(chan struct{})}
	o.asking = k
	go func() {
		defer close(k.done)
		if body := f(ctx); ctx.Err() == nil {
			o.w.send(t, body)
		}
	}()
}

// cancelPrompt takes back the prompt that is being asked, if any, and waits
// until it is off the terminal.
func (o *Op) cancelPrompt() {
	if o.asking != nil {
		o.asking.cancel()
		<-o.asking.done
		o.asking = nil
	}
}

// end frees whoever waits in Credit.
func (o *Op) end() {
	o.mu.Lock()
	o.over = true
	o.mu.Unlock()
	o.cond.Broadcast()
	o.cancelPrompt()
}

func (o *Op) addCredit(n int) {
	o.mu.Lock()
	o.credit += n
	o.mu.Unlock()
	o.cond.Broadcast()
}

// Credit waits until the server takes standard input and returns how many
// bytes, or 0 when the operation is over. Reading the user's stdin before that
// would swallow what belongs to the next command. It is 0 too when the server
// reads the rest itself, so everything read before must have been sent.
func (o *Op) Credit() int {
	o.mu.Lock()
	for o.credit <= 0 && !o.over && o.stdin == nil {
		o.cond.Wait()
	}
	n, s := o.credit, o.stdin
	if o.over {
		n, s = 0, nil
	}
	o.mu.Unlock()
	if s != nil {
		o.sendPassed(*s)
		return 0
	}
	return n
}

// passes answers the question for standard input or for both outputs. That for
// standard input is answered by whoever reads it, once all that was read is sent,
// or never, because it has ended.
func (o *Op) passes(h Handler, b []byte) error {
	d := decoder{b: b}
	which := d.u8()
	if err := d.done(); err != nil {
		return err
	}
	if which&passedTerminal != 0 {
		o.passTerminal(h, which)
		return nil
	}
	stdin := which == passedStdin
	s := Stdio{NotPassed, NotPassed, NotPassed}
	_, can := o.conn.(FDConn)
	if p, ok := h.(Passer); ok && can {
		s = p.Pass(stdin)
	}
	switch {
	case !stdin:
		o.sendPassed(s) // also that there are none; of a failure the next read tells
	case s[0] != NotPassed:
		o.mu.Lock()
		o.stdin = &s
		o.mu.Unlock()
		o.cond.Broadcast()
	}
	return nil
}

func (o *Op) sendPassed(s Stdio) {
	which, fds := s.list()
	o.w.sendFDs(framePassed, []byte{which}, fds)
}

// WantsStdin reports, from Handler.Opened on, that standard input is to be sent.
func (o *Op) WantsStdin() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.credit > 0
}

// StdinRoom is the space that Stdin needs in front of the bytes.
const StdinRoom = frameHeader

// Stdin sends b[StdinRoom:], which must be within the credit, without copying.
func (o *Op) Stdin(b []byte) error {
	o.mu.Lock()
	o.credit -= len(b) - StdinRoom
	o.mu.Unlock()
	return o.w.sendData(frameStdin, b)
}

// CloseStdin ends standard input.
func (o *Op) CloseStdin() error { return o.w.send(frameStdinEOF, nil) }

// Resize reports a new terminal size.
func (o *Op) Resize(w Window) error {
	e := encoder{}
	e.window(w)
	return o.w.send(frameResize, e.b)
}

// Moved says that this process goes on for the one that connected (ssh -f).
func (o *Op) Moved(pid int) error {
	e := encoder{}
	e.u32(uint32(pid))
	return o.w.send(frameMoved, e.b)
}

// Signal sends a signal to the remote command, by its name without SIG.
func (o *Op) Signal(name string) error {
	e := encoder{}
	e.str(name)
	return o.w.send(frameSignal, e.b)
}

// Retry tells that the person wants another attempt now.
func (o *Op) Retry() error { return o.w.send(frameRetry, nil) }

// GiveUp abandons the operation and has Wait return how far it had come: that is
// the error's phase. A muxd that does not say so within a moment, and a
// connection of which one direction cannot be ended by itself, need Close.
func (o *Op) GiveUp() error {
	if c, ok := o.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return o.Close()
}

// Close abandons the operation.
func (o *Op) Close() error { return o.conn.Close() }
