package control

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"muxd/internal/fdio"
)

// A client's bytes travel in frames, through the client. Where many of them do,
// muxd asks for the descriptors on which the client reads and writes, and uses
// them itself:
//
//	server ── Pass ──► client     behind the last frame of output
//	server ◄─ Passed ─ client     once all before it is written, or read and sent
//
// So no byte overtakes another, whatever else the client has to say, and a
// command that says little pays nothing for it.

// passFrom is how many bytes of one direction travel in frames before the
// descriptors are asked for: some milliseconds' worth.
const passFrom = 256 << 10

// Passer is a Handler whose bytes the server may read and write itself.
type Passer interface {
	// Pass returns the descriptor of standard input, or those of standard output
	// and error. They stay the caller's too.
	Pass(stdin bool) Stdio
}

// Stdio are the descriptors of standard input, output and error. NotPassed
// stands for one whose bytes travel in frames; error is the same as output where
// both are one pipe or socket.
type Stdio [3]int

// NotPassed is no descriptor.
const NotPassed = -1

// What a Passed frame says of the descriptors that come with it, in this order.
const (
	passedStdin  = 1 << 0
	passedStdout = 1 << 1
	passedStderr = 1 << 2
	passedJoined = 1 << 3 // stderr is the pipe or socket that stdout is

	// Of a session on a terminal, where all three are one; see terminal.go.
	passedTerminal = 1 << 4
	passedMidLine  = 1 << 5 // what was read of it so far ends in the middle of a line
)

// list is the body of a Passed frame, and what goes with it.
func (s Stdio) list() (which uint8, fds []int) {
	for n, fd := range s {
		switch {
		case fd == NotPassed:
		case n == 2 && fd == s[1]:
			which |= passedJoined
		default:
			which, fds = which|passedStdin<<n, append(fds, fd)
		}
	}
	return which, fds
}

// spare is what a ServerConn may say: that this process has descriptors enough
// to take some that it could do without.
type spare interface{ Spare() bool }

// passed are the client's descriptors. They belong to its shell and to the rest of
// its pipeline too, so none is open here for longer than the operation: whoever
// waits for the end of a pipe has it when the client ends.
type passed struct {
	answer chan struct{} // capacity 1; the client has answered for its outputs

	mu     sync.Mutex
	asked  bool           // guarded by mu; outputs were asked for
	wanted uint8          // guarded by mu; what was asked for and has not come
	came   []int          // guarded by mu; with bytes whose frame was not looked at yet
	in     *fdio.Reader   // guarded by mu; nil until it is passed
	outs   [2]*output     // guarded by mu; likewise; the same where they are one
	term   *fdio.Terminal // guarded by mu; nil while the client writes it itself
	asking int            // guarded by mu; questions that stand on that terminal
	closed bool           // guarded by mu
}

// output is a client's descriptor that output is written to.
type output struct {
	*fdio.Writer
	mu sync.Mutex // held while writing, because stdout and stderr may be one
}

func (o *output) write(b []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.Write(b)
	return err
}

// passing is the client's bytes as they come from its socket, with descriptors
// among them, which a plain read would lose.
type passing struct {
	c ServerConn
	p *passed
}

// passLimit is how many descriptors may have come and not been looked at: all
// that a client has to pass. More would be taken from those of other clients.
const passLimit = 3

func (r passing) Read(b []byte) (int, error) {
	n, fds, err := r.c.ReadFDs(b, passLimit)
	if len(fds) > 0 {
		r.p.mu.Lock()
		r.p.came = append(r.p.came, fds...) // closed with the operation
		many := len(r.p.came) > passLimit
		r.p.mu.Unlock()
		if many {
			return 0, errPassed
		}
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

var errPassed = errors.New("descriptors that nobody asked for, or not those that were announced")

// take is a Passed frame: which descriptors came, and a reader where standard
// input is among them.
func (p *passed) take(b []byte) (in *fdio.Reader, err error) {
	d := decoder{b: b}
	which := d.u8()
	if err := d.done(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fd := func(bit uint8) int {
		if which&bit == 0 || len(p.came) == 0 {
			return NotPassed
		}
		fd := p.came[0]
		p.came = p.came[1:]
		return fd
	}
	if p.closed {
		return nil, nil // and closed are the descriptors, or will be
	}
	if which&passedStdin != 0 {
		if p.wanted&passedStdin == 0 || len(p.came) == 0 {
			return nil, errPassed
		}
		p.wanted &^= passedStdin
		p.in, err = fdio.NewReader(fd(passedStdin))
		return p.in, err
	}
	if p.wanted&passedStdout == 0 || which&passedStderr != 0 && which&passedJoined != 0 {
		return nil, errPassed
	}
	p.wanted &^= passedStdout
	for n := range p.outs {
		if fd := fd(passedStdout << n); fd != NotPassed {
			w, err := fdio.NewWriter(fd)
			if err != nil {
				return nil, err
			}
			p.outs[n] = &output{Writer: w}
		}
	}
	if which&passedJoined != 0 {
		p.outs[1] = p.outs[0]
	}
	p.answer <- struct{}{}
	return nil, nil
}

// close ends what is under way on the descriptors: after it no byte is taken or
// written any more. It may be called from any goroutine, and again.
func (p *passed) close() {
	p.mu.Lock()
	p.closed = true
	in, came, term := p.in, p.came, p.term
	p.came = nil
	p.mu.Unlock()
	if term != nil {
		term.Close()
	}
	for _, fd := range came {
		syscall.Close(fd)
	}
	if in != nil {
		in.Close()
	}
	p.closeOutputs()
}

// closeOutputs is close for standard output and error.
func (p *passed) closeOutputs() {
	p.mu.Lock()
	outs := p.outs
	p.mu.Unlock()
	for _, w := range outs {
		if w != nil {
			w.Close()
		}
	}
}

// first reports whether outputs were not asked for so far, and now are.
func (p *passed) first() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.asked
	p.asked = true
	return !was
}

// outlet returns what output number n goes to by now; nil stands for frames.
func (p *passed) outlet(n int) *output {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outs[n]
}

// askFor asks for descriptors, if they can come and be afforded.
func (o *operation) askFor(which uint8) bool {
	if _, ok := o.r.r.(passing); !ok {
		return false
	}
	if s, ok := o.c.(spare); ok && !s.Spare() {
		return false
	}
	o.passed.mu.Lock()
	o.passed.wanted |= which &^ passedTerminal
	o.passed.mu.Unlock()
	return o.w.send(framePass, []byte{which}) == nil
}

// askOutputs asks for standard output and error, and waits for the answer, or
// the end of the client or of muxd. It is called with the turn of outputs held:
// nothing is sent meanwhile that the client would have to write before what follows.
func (o *operation) askOutputs(ctx context.Context) {
	which := uint8(passedStdout)
	if o.onTTY {
		which |= passedTerminal
	}
	if !o.askFor(which) {
		return
	}
	select {
	case <-o.passed.answer:
	case <-ctx.Done():
		o.passed.close() // an answer would come too late
	}
}

// handOver is the client's answer.
func (o *operation) handOver(b []byte) error {
	if len(b) == 1 && b[0]&passedTerminal != 0 {
		return o.takeTerminal(b[0])
	}
	in, err := o.passed.take(b)
	if in != nil {
		o.in.handOver(in)
	}
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	return err
}
