package sshmux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/socket"
)

// Limits of a client, which tests shorten.
var (
	// descriptorWait bounds the wait for the descriptors that follow a request.
	// They are sent with it; a client that was stopped between is let go.
	descriptorWait = time.Minute
	// writeWait bounds the wait for a client to take a message. Messages are
	// small and few, so only one that never reads fills its socket.
	writeWait = 10 * time.Second
)

// ahead is how many requests of one client are taken before they are carried
// out. ssh waits for each answer. Behind these its socket is not read, and its end
// not heard: a client that has more for as long as writeWait is cut.
const ahead = 16

var errAhead = fmt.Errorf("more than %d requests ahead of one that waits", ahead)

// client is one connection to a door: one ssh.
//
// Its messages are read by one goroutine, which hears at once when the client
// goes, and carried out in turn by another, the session apart from both.
type client struct {
	d    *door
	conn *socket.Conn
	peer peer

	wmu sync.Mutex // guards writes

	greeted bool               // HELLO came; of handle
	over    context.CancelFunc // ends what is carried out
	closed  sync.Once

	mu       sync.Mutex // guards following
	session  *session   // nil before one was asked for
	busy     bool       // a session or a stdio forward was asked for
	forwards []*held
	missing  error // the first forward that could not be had, of a client that insists on all
}

func newClient(d *door, conn *socket.Conn) *client {
	return &client{d: d, conn: conn, peer: newPeer(conn.PeerPID())}
}

// message is a request with the descriptors that came with it.
type message struct {
	*request
	fds  []int
	rest []byte // of proxy: what was read after it, which is no message any more
}

func (m *message) close() {
	for _, fd := range m.fds {
		unix.Close(fd)
	}
	m.fds = nil
}

// serve carries a client from its first byte to its last.
func (c *client) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.over = cancel
	defer context.AfterFunc(ctx, c.close)()
	if c.send(reply(hello, uint32(version), "info", "0", "muxd", "1")) != nil {
		c.close()
		return
	}
	queue := make(chan *message, ahead)
	go c.read(ctx, queue)
	var sessions sync.WaitGroup
	for m := range queue {
		if err := c.handle(ctx, m, &sessions); err != nil {
			if !errors.Is(err, io.EOF) {
				c.d.s.Log.Debug("client of a ControlPath cut", "pid", c.peer.pid, "err", err)
			}
			break
		}
	}
	cancel()
	for m := range queue {
		m.close()
	}
	sessions.Wait()
	c.release()
	c.close()
}

// end lets the client go, and what it does with it.
func (c *client) end() {
	c.close()
}

func (c *client) close() { c.closed.Do(func() { c.conn.Close() }) }

// read takes the client's messages until its socket ends.
func (c *client) read(ctx context.Context, queue chan<- *message) {
	defer close(queue)
	in := &inbox{conn: c.conn}
	defer in.close()
	for {
		m, err := in.next()
		if err != nil {
			c.over()
			return
		}
		if m.kind == proxy {
			m.rest = in.buf
		}
		if err := enqueue(ctx, queue, m); err != nil {
			m.close()
			c.d.s.Log.Debug("client of a ControlPath cut", "pid", c.peer.pid, "err", err)
			c.over()
			return
		}
		if m.kind == proxy {
			return // who carries it out reads the rest
		}
	}
}

func enqueue(ctx context.Context, queue chan<- *message, m *message) error {
	select {
	case queue <- m:
		return nil
	default:
	}
	t := time.NewTimer(writeWait)
	defer t.Stop()
	select {
	case queue <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return errAhead
	}
}

// inbox reads messages and the descriptors behind them. Every read can take
// descriptors, since one that could not would have the kernel close them; the
// kernel ends a read with the byte that they came with, so they are in order.
type inbox struct {
	conn *socket.Conn
	buf  []byte // read and not yet taken
	fds  []int  // as buf
}

var errDescriptors = errors.New("descriptors that do not fit what was asked for")

// maxPending is how many descriptors may have come and not been asked for yet.
const maxPending = 8

func (in *inbox) close() {
	for _, fd := range in.fds {
		unix.Close(fd)
	}
	in.fds = nil
}

func (in *inbox) next() (*message, error) {
	head, err := in.take(4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if n < 4 || n > maxSkipped {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	r, err := in.request(int(n))
	if err != nil {
		return nil, err
	}
	want := r.kind.descriptors()
	if want > 0 {
		in.conn.SetReadDeadline(time.Now().Add(descriptorWait))
		_, err = in.take(want)
		in.conn.SetReadDeadline(time.Time{})
		if err == nil && len(in.fds) < want {
			err = errDescriptors
		}
		if err != nil {
			return nil, err
		}
	}
	if len(in.fds) > want && len(in.buf) == 0 {
		return nil, errDescriptors // nothing asked for them
	}
	m := &message{request: r, fds: in.fds[:want:want]}
	in.fds = in.fds[want:]
	return m, nil
}

// request reads the rest of a message. Of one that is too long it keeps what an
// answer needs: cut off, ssh would log in by itself.
func (in *inbox) request(n int) (*request, error) {
	if n <= maxMessage {
		body, err := in.take(n)
		if err != nil {
			return nil, err
		}
		return parse(body)
	}
	d, err := in.take(8)
	if err != nil {
		return nil, err
	}
	r := &request{kind: kind(binary.BigEndian.Uint32(d)), id: binary.BigEndian.Uint32(d[4:]), long: n}
	if r.kind == hello {
		return nil, fmt.Errorf("a HELLO of %d bytes", n)
	}
	for n -= 8; n > 0 && err == nil; {
		d, err = in.take(min(n, 64<<10))
		n -= len(d)
	}
	return r, err
}

// take returns the next n bytes, which hold until the next call.
func (in *inbox) take(n int) ([]byte, error) {
	for len(in.buf) < n {
		// Memory is taken as bytes arrive, and not for a length that is announced.
		room := make([]byte, max(len(in.buf)+4096, min(2*len(in.buf), n)))
		have := copy(room, in.buf)
		m, fds, err := in.conn.ReadFDs(room[have:], maxPending)
		in.fds = append(in.fds, fds...)
		in.buf = room[:have+m]
		switch {
		case err != nil:
			return nil, err
		case m == 0:
			return nil, io.EOF
		case len(in.fds) > maxPending:
			return nil, errDescriptors
		}
	}
	b := in.buf[:n:n]
	in.buf = in.buf[n:]
	return b, nil
}

// send writes one message.
func (c *client) send(b []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(writeWait))
	_, err := c.conn.Write(b)
	return err
}

// fail answers with a text that ssh prints.
func (c *client) fail(id uint32, text string) error {
	return c.send(reply(failure, id, control.CleanLine(text)))
}

// handle carries out one message. An error cuts the client.
func (c *client) handle(ctx context.Context, m *message, sessions *sync.WaitGroup) error {
	if greets := m.kind == hello; greets == c.greeted {
		m.close()
		return fmt.Errorf("message %#x where HELLO goes first, and once", uint32(m.kind))
	}
	if m.long > 0 {
		return c.tooLong(m)
	}
	switch m.kind {
	case hello:
		if m.version != version {
			return fmt.Errorf("version %d of the protocol", m.version)
		}
		c.greeted = true
		return nil
	case aliveCheck:
		return c.send(reply(alive, m.id, uint32(c.d.pid())))
	case newSession, newStdio:
		return c.begin(ctx, m, sessions)
	case openForward:
		return c.openForward(ctx, m.request)
	case closeForward:
		return c.closeForward(ctx, m.request)
	case terminate:
		return c.terminate(ctx, m.request)
	case stopListening:
		if no := c.confirm(ctx, "Disable further multiplexing on shared connection to %s? ", c.d.dest); no {
			return c.send(reply(denied, m.id, denial))
		}
		c.d.stop()
		return c.send(reply(ok, m.id))
	case extInfo:
		text, err := c.info(ctx, m.name)
		if err != nil {
			return c.send(reply(extInfoReply, m.id, uint32(0), control.CleanLine(err.Error())))
		}
		return c.send(reply(extInfoReply, m.id, uint32(1), text))
	case proxy:
		if no := c.confirm(ctx, "Allow multiplex proxy connection to %s? ", c.d.dest); no {
			return c.send(reply(denied, m.id, denial))
		}
		c.mu.Lock()
		busy := c.busy
		c.mu.Unlock()
		if busy {
			return errors.New("proxy mode beside a session")
		}
		c.serveProxy(ctx, m.id, m.rest)
		return io.EOF
	}
	return c.fail(m.id, "unsupported request")
}

// tooLong answers a message that was not kept.
func (c *client) tooLong(m *message) error {
	m.close()
	err := fmt.Errorf("the command and its environment are %d bytes long, and no SSH server takes more than 256 KiB of each: pass it on stdin", m.long)
	if m.kind == newSession {
		c.refuse(m.id, err)
		return io.EOF
	}
	return c.fail(m.id, fmt.Sprintf("a request of %d bytes is too long", m.long))
}

// begin starts the client's session or stdio forward; it may have one.
func (c *client) begin(ctx context.Context, m *message, sessions *sync.WaitGroup) error {
	c.mu.Lock()
	again := c.busy
	c.busy = true
	c.mu.Unlock()
	if again {
		m.close()
		return c.fail(m.id, "Multiple sessions not supported")
	}
	question := "Allow shared connection to %s? "
	if m.kind == newStdio {
		question = "Allow a stdio forward through the shared connection to %s? "
	}
	if no := c.confirm(ctx, question, c.d.dest); no {
		m.close()
		if m.kind == newSession {
			c.refuse(m.id, &control.Error{Text: denial})
			return io.EOF
		}
		return c.send(reply(denied, m.id, denial))
	}
	c.mu.Lock()
	missing := c.missing
	c.mu.Unlock()
	if missing != nil {
		return c.without(m, missing)
	}
	sessions.Go(func() {
		if m.kind == newStdio {
			c.stdio(ctx, m)
		} else {
			c.open(ctx, m)
		}
		c.close() // the client ends when its socket does, and so not before this
	})
	return nil
}

// terminate is ssh -O exit: the connection ends, whoever uses it, and the door.
func (c *client) terminate(ctx context.Context, r *request) error {
	if no := c.confirm(ctx, "Terminate shared connection to %s? ", c.d.dest); no {
		return c.send(reply(denied, r.id, denial))
	}
	c.send(reply(ok, r.id))
	c.d.stop() // before the connection ends: whoever holds it for the door then knows why
	// There may be no connection just now. The client has its answer and goes,
	// which is no reason to leave what it asked for undone.
	c.d.s.Backend.Manage(context.WithoutCancel(ctx), &control.ManageRequest{Dest: c.d.dest, Command: "exit"})
	c.d.end()
	return io.EOF
}

// denial is mux.c's word for a no.
const denial = "Permission denied"

// confirm asks the holder of the door, where the door is one to be asked about,
// and reports a no. Nobody there is a no too.
func (c *client) confirm(ctx context.Context, question string, args ...any) (no bool) {
	holder, ask := c.d.holder()
	if !ask {
		return false
	}
	if holder == nil {
		return true
	}
	select {
	case <-holder.opened:
	case <-ctx.Done():
	}
	if ctx.Err() != nil { // nobody is asked for who went
		return true
	}
	a, err := holder.p.Prompt(ctx, control.Prompt{Kind: control.PromptConfirm, Host: c.d.dest.String(), Text: fmt.Sprintf(question, args...)})
	return err != nil || a.Text != "yes" && a.Text != "y" && a.Text != ""
}

func (c *client) resized() {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s != nil {
		s.resized()
	}
}
