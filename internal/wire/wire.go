// Package wire is the net.Conn under an SSH connection, and the socket's options.
//
// It stamps the time of the last byte received before anybody parses it, so that
// a slow consumer never looks like a dead link; it reads and writes in large
// pieces, with buffers that are borrowed while bytes flow; and it counts. It
// tells when reading or writing failed, before whoever read or wrote hears of it:
// the SSH library ends the channels of a lost connection as it ends those that
// the server closed.
//
// The package knows no SSH but for what a server says before its version, and
// nothing of hosts, requests or configuration.
package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"muxd/internal/firstkex"
)

const (
	// readSize is the read buffer of a connection on which little comes,
	// bulkSize the one while bytes flow; each is borrowed for what came, and a
	// connection that waits has none. x/crypto reads through 4 KiB of its own, so
	// without ours a download costs 64 reads a megabyte; with 256 KiB, six.
	readSize = 16 << 10
	bulkSize = 256 << 10
	// pendingMost bounds what writers may leave to the flusher before they wait:
	// enough to fill a socket buffer in one write, little enough that a stalled
	// link pushes back before it hides much.
	pendingMost = 512 << 10
	// directAfter is the pause between two writes beyond which the second goes
	// out by itself, at once: a key press must not wait for a goroutine to be
	// scheduled. Writes that follow each other closer are coalesced.
	directAfter = 50 * time.Microsecond
	// sniffMax is how much of what a server says before its SSH version is
	// kept: refusals such as "Exceeded MaxStartups" stand there, and the SSH
	// library throws them away.
	sniffMax = 255
	// lastWordsTimeout bounds a read from a connection that cannot be written:
	// what is there to read is there already.
	lastWordsTimeout = time.Second
	// writerTells is how long the end of what is read waits for a writer, who may
	// have been told its cause. One that waits on, because the server reads no
	// more, has not been.
	writerTells = time.Second
	// LastPackets is how long the end of what is read is kept from the SSH
	// library, for it to work off the packets that it has taken before: up to
	// sixteen, which wait between its two goroutines.
	LastPackets = 20 * time.Millisecond
)

var (
	readBuffers = sync.Pool{New: func() any { b := make([]byte, readSize); return &b }}
	bulkBuffers = sync.Pool{New: func() any { b := make([]byte, bulkSize); return &b }}
)

// writeBuffers hold what waits for the flusher. They begin at two of the SSH
// library's packets and grow to pendingMost under load; a wire that has nothing
// to send has none.
var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 72<<10); return &b }}

// Conn is a connection with a memory of its own.
//
// Read is called from one goroutine, Write from one at a time (the SSH library
// holds a lock over it). Close may be called from anywhere and frees both.
type Conn struct {
	net.Conn
	epoch     time.Time                   // time zero of lastRead; monotonic
	lastRead  atomic.Int64                // nanoseconds after epoch
	in, out   atomic.Int64                // bytes
	onLost    atomic.Pointer[func(error)] // told of a failed read before its caller is
	closed    chan struct{}               // closed by Close
	settles   atomic.Bool                 // see Settle
	writeOver atomic.Bool                 // a write failed; set before its caller is told
	readOver  atomic.Bool                 // a read failed; set before its caller is told
	sniffed   []byte                      // owned by Read until the handshake ended
	sniffing  bool                        // owned by Read
	first     *firstkex.Observer          // set before the first Read; nil: nothing is observed
	raw       syscall.RawConn             // nil where the connection is no socket of the kernel's
	try       func(fd uintptr) bool       // what raw calls; made once
	got       int                         // owned by Read; what try read
	gotErr    error                       // owned by Read; and how that went
	flows     bool                        // owned by Read; the next buffer is a large one
	lent      *[]byte                     // owned by Read; borrowed
	unread    []byte                      // owned by Read; the rest of what is in lent
	pace      pace                        // owned by Read
	writes    atomic.Int32                // how often Write was called

	mu       sync.Mutex
	cond     sync.Cond // on mu
	pending  *[]byte   // guarded by mu; left to the flusher, borrowed; nil while there is nothing
	flushing bool      // guarded by mu; there is a flusher, or a write that goes out by itself
	failed   error     // guarded by mu; the first write of these that failed
	err      error     // guarded by mu; of the flusher's write, or of Close
	wrote    time.Time // owned by Write; zero before the first
}

// New returns a Conn over c, which is its own from now on.
func New(c net.Conn) *Conn {
	w := &Conn{Conn: c, epoch: time.Now(), sniffing: true, closed: make(chan struct{})}
	w.cond.L = &w.mu
	w.raw = rawConn(c)
	w.try = w.attempt
	return w
}

// LastRead returns when the last byte was received.
func (w *Conn) LastRead() time.Time { return w.epoch.Add(time.Duration(w.lastRead.Load())) }

// Sniffed returns what the server said before its SSH version, at most 255
// bytes. Call it when the handshake has ended.
func (w *Conn) Sniffed() string {
	if i := bytes.Index(w.sniffed, []byte("SSH-")); i >= 0 {
		return string(w.sniffed[:i])
	}
	return string(w.sniffed)
}

// Received is how many bytes came.
func (w *Conn) Received() int64 { return w.in.Load() }

// Sent is how many bytes were written, those that wait for the flusher included.
func (w *Conn) Sent() int64 { return w.out.Load() }

// Observe has o see what comes, and end the reading by an error. Call it before
// the first Read.
func (w *Conn) Observe(o *firstkex.Observer) { w.first = o }

// OnLost has f be told of a failed read before its caller is; nil is nobody.
func (w *Conn) OnLost(f func(error)) {
	if f == nil {
		w.onLost.Store(nil)
	} else {
		w.onLost.Store(&f)
	}
}

// Settle says whether somebody is to have the last packets: then a failed read is
// told only after LastPackets.
func (w *Conn) Settle(on bool) { w.settles.Store(on) }

// ReadOver reports that a read failed; true before its caller is told.
func (w *Conn) ReadOver() bool { return w.readOver.Load() }

// WriteOver reports that a write failed; true before its caller is told.
func (w *Conn) WriteOver() bool { return w.writeOver.Load() }

// Closed is closed by Close, whoever calls it.
func (w *Conn) Closed() <-chan struct{} { return w.closed }

// Read implements net.Conn.
func (w *Conn) Read(p []byte) (int, error) {
	if len(w.unread) == 0 {
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
	give := len(w.unread)
	if !w.pace.over {
		if give = w.piece(); give == 0 {
			return 0, w.ended(net.ErrClosed)
		}
	}
	n := copy(p, w.unread[:give])
	w.unread = w.unread[n:]
	if !w.pace.over {
		w.pace.given += n
		w.pace.left -= n // below zero is nothing, too
	}
	return n, nil
}

// fill reads once, into a buffer that is the large one while reads fill the
// other.
func (w *Conn) fill() error {
	n, err := w.pull()
	if n == 0 {
		if err == nil {
			err = io.ErrNoProgress
		}
		return w.ended(err)
	}
	w.lastRead.Store(int64(time.Since(w.epoch)))
	w.in.Add(int64(n))
	w.unread = (*w.lent)[:n]
	w.sniff(w.unread)
	if err := w.first.Observe(w.unread); err != nil {
		return w.ended(err)
	}
	w.flows = n == len(*w.lent) || w.flows && n >= readSize
	return nil
}

// ended is the end of what is read.
func (w *Conn) ended(err error) error {
	w.unread = nil
	w.giveBack()
	w.settle()
	if err == io.EOF {
		err = w.cause()
	}
	w.readOver.Store(true)
	if f := w.onLost.Load(); f != nil {
		(*f)(err)
	}
	return err
}

// cause is what a plain end of what is read comes from, where the kernel has ended
// the connection: it says so once, to whoever asks first, and to a reader behind a
// writer no more than that there is nothing to read. A write that fails because the
// connection has ended already says nothing.
func (w *Conn) cause() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	late := false
	defer time.AfterFunc(writerTells, func() {
		w.mu.Lock()
		late = true
		w.mu.Unlock()
		w.cond.Broadcast()
	}).Stop()
	for w.flushing && w.failed == nil && !late {
		w.cond.Wait()
	}
	if errno := syscall.Errno(0); errors.As(w.failed, &errno) && errno != syscall.EPIPE {
		return w.failed
	}
	return io.EOF
}

// pull waits for bytes without a buffer, where the kernel tells when they are
// there, and reads them into one that is borrowed.
func (w *Conn) pull() (int, error) {
	if w.raw == nil {
		w.borrow()
		return w.Conn.Read(*w.lent)
	}
	if err := w.raw.Read(w.try); err != nil {
		if e := (*net.OpError)(nil); errors.As(err, &e) {
			e.Op = "read" // and not "raw-read": it is told to people
		}
		return 0, err
	}
	return w.got, w.gotErr
}

// attempt is one read of the socket; false has it called again when there is
// something.
func (w *Conn) attempt(fd uintptr) bool {
	w.borrow()
	n, err := syscall.Read(int(fd), *w.lent)
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), *w.lent)
	}
	switch {
	case err == syscall.EAGAIN:
		w.giveBack()
		return false
	case err != nil:
		n = 0
		err = &net.OpError{Op: "read", Net: w.LocalAddr().Network(), Source: w.LocalAddr(), Addr: w.RemoteAddr(), Err: os.NewSyscallError("read", err)}
	case n == 0:
		err = io.EOF
	}
	w.got, w.gotErr = n, err
	return true
}

// borrow sees to a buffer of the size that is wanted now.
func (w *Conn) borrow() {
	if w.lent != nil && (len(*w.lent) == bulkSize) == w.flows {
		return
	}
	w.giveBack()
	pool := &readBuffers
	if w.flows {
		pool = &bulkBuffers
	}
	w.lent = pool.Get().(*[]byte)
}

func (w *Conn) giveBack() {
	if w.lent == nil {
		return
	}
	pool := &readBuffers
	if len(*w.lent) == bulkSize {
		pool = &bulkBuffers
	}
	pool.Put(w.lent)
	w.lent = nil
}

// rawConn is how to wait for bytes of a socket, nil for what is none: a channel
// of another connection, a ProxyCommand, a test's.
func rawConn(c net.Conn) syscall.RawConn {
	switch c := c.(type) {
	case *net.TCPConn:
		raw, _ := c.SyscallConn()
		return raw
	case *net.UnixConn:
		raw, _ := c.SyscallConn()
		return raw
	}
	return nil
}

// settle waits before the end of what is read is told, unless the end is ours.
func (w *Conn) settle() {
	if !w.settles.Load() {
		return
	}
	t := time.NewTimer(LastPackets)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.closed:
	}
}

func (w *Conn) sniff(b []byte) {
	if !w.sniffing {
		return
	}
	w.sniffed = append(w.sniffed, b[:min(len(b), sniffMax-len(w.sniffed))]...)
	w.sniffing = len(w.sniffed) < sniffMax && !bytes.Contains(w.sniffed, []byte("SSH-"))
}

// Write sends p at once when the wire is quiet, and leaves it to the flusher
// when it is busy. An error of the flusher is returned by the next Write.
func (w *Conn) Write(p []byte) (int, error) {
	w.writes.Add(1)
	if w.readOver.Load() {
		// What asks for an answer would wait for it for ever: the library has
		// ended, or is about to end, all that it knew of.
		return 0, net.ErrClosed
	}
	now, first := time.Now(), w.wrote.IsZero()
	quiet := now.Sub(w.wrote) > directAfter
	w.wrote = now
	w.mu.Lock()
	if w.err == nil && quiet && w.pending == nil && !w.flushing {
		// Nobody else writes now: Write is called by one goroutine at a time
		// and there is no flusher.
		w.flushing = true
		w.mu.Unlock()
		n, err := w.Conn.Write(p)
		w.out.Add(int64(n))
		if err != nil {
			w.writeOver.Store(true)
		}
		w.mu.Lock()
		w.flushing = false
		w.wentOut(err)
		w.mu.Unlock()
		if err != nil && first {
			w.lastWords()
		}
		return n, err
	}
	defer w.mu.Unlock()
	for w.pending != nil && len(*w.pending) > pendingMost && w.err == nil {
		w.cond.Wait()
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.pending == nil {
		w.pending = writeBuffers.Get().(*[]byte)
	}
	*w.pending = append(*w.pending, p...)
	w.out.Add(int64(len(p)))
	if !w.flushing {
		w.flushing = true
		go w.flush()
	}
	return len(p), nil
}

// lastWords reads what a server said that was gone before our first write: why
// it does not want us. That write is our version, and the SSH library reads
// nothing before it is out, so Read's fields are ours here.
func (w *Conn) lastWords() {
	w.Conn.SetReadDeadline(time.Now().Add(lastWordsTimeout))
	w.fill() // if it fails, the write's error says enough
}

// flush writes what is pending until nothing is. There is one at a time, and none
// on a wire that has nothing to send.
func (w *Conn) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.pending != nil && w.err == nil {
		b := w.pending
		w.pending = nil
		w.mu.Unlock()
		_, err := w.Conn.Write(*b)
		*b = (*b)[:0]
		writeBuffers.Put(b)
		w.mu.Lock()
		if err != nil && w.err == nil {
			w.err = err
			w.writeOver.Store(true)
		}
		w.wentOut(err)
	}
	w.flushing = false
	w.cond.Broadcast()
}

// wentOut notes how a write of the connection went, and wakes whoever waits for it.
// Called with mu held.
func (w *Conn) wentOut(err error) {
	if w.failed == nil {
		w.failed = err
	}
	w.cond.Broadcast()
}

// Close closes the connection. What is still pending is not sent.
func (w *Conn) Close() error {
	w.mu.Lock()
	if w.err == nil {
		w.err = net.ErrClosed
	}
	select {
	case <-w.closed:
	default:
		close(w.closed)
	}
	w.cond.Broadcast()
	w.mu.Unlock()
	return w.Conn.Close()
}

// Expire closes the connection because its time is over: what waits on it ends
// with os.ErrDeadlineExceeded rather than with a plain end.
func (w *Conn) Expire() {
	w.mu.Lock()
	if w.err == nil {
		w.err = os.ErrDeadlineExceeded
	}
	w.cond.Broadcast()
	w.mu.Unlock()
	w.Conn.SetDeadline(time.Unix(1, 0))
}
