package sshmux

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/socket"
)

// relay is a client in proxy mode (ssh -O proxy; PROTOCOL.mux, section 9). It
// speaks the SSH connection protocol (RFC 4254) in the clear and believes to be
// alone on the connection. We are the server it speaks to: each of its channels
// is asked of the Backend as what it turns out to be, so that it waits through an
// outage and finds room like any other client's.
//
//	ssh ── channels, requests ──► relay ──► Backend
//	    ◄── forwarded-tcpip ────────┘ listens for what its remote forwards bring
type relay struct {
	c        *client
	conn     ssh.Conn
	channels sync.WaitGroup

	mu        sync.Mutex // guards following
	listeners map[control.Endpoint]*listening
}

// globals is how many global requests may wait for the one before: each is
// answered in turn.
const globals = 256

// serveProxy carries a client in proxy mode to its end. Rest is what was read of
// it already.
func (c *client) serveProxy(ctx context.Context, id uint32, rest []byte) {
	c.send(reply(proxyGranted, id))
	c.conn.SetWriteDeadline(time.Time{}) // from here on it is flow control that bounds a write
	conn, chans, reqs, err := ssh.NewControlClientConn(newWire(c.conn, rest))
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r := &relay{c: c, conn: conn, listeners: map[control.Endpoint]*listening{}}
	queue := make(chan *ssh.Request, globals)
	var answering sync.WaitGroup
	answering.Go(func() {
		for q := range queue {
			r.global(ctx, q)
		}
	})
	go func() {
		defer close(queue)
		for q := range reqs {
			select {
			case queue <- q:
			default: // it does not wait for answers; the library would stop for all of it
				conn.Close()
			}
		}
	}()
	for ch := range chans {
		r.channels.Go(func() { r.channel(ctx, ch) })
	}
	cancel()
	answering.Wait()
	r.end()
	r.channels.Wait()
}

// channel serves one channel that the client opens.
func (r *relay) channel(ctx context.Context, ch ssh.NewChannel) {
	switch ch.ChannelType() {
	case "session":
		r.session(ctx, ch)
	case "direct-tcpip":
		var m struct {
			Host   string
			Port   uint32
			Origin string
			From   uint32
		}
		if ssh.Unmarshal(ch.ExtraData(), &m) != nil || m.Host == "" || m.Port == 0 || m.Port > 65535 {
			ch.Reject(ssh.ConnectionFailed, "to nowhere")
			return
		}
		r.direct(ctx, ch, &control.DirectRequest{Host: m.Host, Port: int(m.Port)})
	case "direct-streamlocal@openssh.com":
		var m struct {
			Path     string
			Reserved string
			Zero     uint32
		}
		if ssh.Unmarshal(ch.ExtraData(), &m) != nil || m.Path == "" {
			ch.Reject(ssh.ConnectionFailed, "to nowhere")
			return
		}
		r.direct(ctx, ch, &control.DirectRequest{Path: m.Path})
	default:
		ch.Reject(ssh.UnknownChannelType, "unknown channel type")
	}
}

// direct serves a connection to somewhere else.
func (r *relay) direct(ctx context.Context, open ssh.NewChannel, q *control.DirectRequest) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q.Dest, q.PID, q.Bytes = r.c.dest(), r.c.peer.pid, new(control.Meter)
	st, err := r.c.d.s.Backend.Direct(ctx, q, newVisitor(r.c, nil))
	if err != nil {
		open.Reject(ssh.ConnectionFailed, control.CleanLine(err.Error()))
		return
	}
	defer st.Close()
	ch, reqs, err := open.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go func() {
		for q := range reqs {
			refuse(q)
		}
		st.Close() // the client closed it
		cancel()
	}()
	var both sync.WaitGroup
	both.Go(func() { pass(ch, st, q.Bytes) })
	both.Go(func() {
		if copyOut(st, ch, q.Bytes, func() { st.CloseRead() }) == io.EOF {
			ch.CloseWrite() // and not where the connection was lost: half of an end is none
		}
		st.Wait()
	})
	waitFor(ctx, &both)
}

// pass carries what the client sends on a channel.
func pass(ch io.Reader, st control.Stream, m *control.Meter) {
	if copyIn(ch, func(b []byte) error { return write(st, b, m) }) == io.EOF {
		st.CloseWrite()
	}
}

func refuse(q *ssh.Request) {
	if q.WantReply {
		q.Reply(false, nil)
	}
}

// answer replies to a global request. A stock client takes no message of fewer
// than five bytes, and reads over what is too much (packet.c,
// ssh_packet_read_poll2_mux).
func answer(q *ssh.Request, ok bool, payload []byte) {
	if q.WantReply {
		q.Reply(ok, append(payload, 0, 0, 0, 0))
	}
}

// wire is the client's socket as the library wants it: it plays a client that
// begins proxy mode, so what it says first is kept from ours, which has begun.
type wire struct {
	*socket.Conn
	in   io.Reader
	skip int // bytes still to be kept
}

// newWire begins with what the library expects, and goes on with what was read
// of the client already.
func newWire(c *socket.Conn, rest []byte) *wire {
	greeting := append(reply(hello, uint32(version)), reply(proxyGranted, uint32(0))...)
	return &wire{Conn: c, skip: len(greeting), in: io.MultiReader(bytes.NewReader(append(greeting, rest...)), &ahead64{c: c})}
}

// ahead64 reads as much as there is: the library asks for a message's length and
// then for its body.
type ahead64 struct {
	c   *socket.Conn
	buf [64 << 10]byte
	b   []byte // read and not taken
}

func (a *ahead64) Read(p []byte) (int, error) {
	if len(a.b) == 0 {
		n, err := a.c.Read(a.buf[:])
		if a.b = a.buf[:n]; err != nil {
			return 0, err
		}
	}
	n := copy(p, a.b)
	a.b = a.b[n:]
	return n, nil
}

func (w *wire) Read(p []byte) (int, error) { return w.in.Read(p) }

// Write is called by one goroutine at a time, with the first message before any
// other.
func (w *wire) Write(p []byte) (int, error) {
	k := min(w.skip, len(p))
	if w.skip -= k; k == len(p) {
		return k, nil
	}
	n, err := w.Conn.Write(p[k:])
	return k + n, err
}

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

var _ net.Conn = (*wire)(nil)

// listening is a remote forward of a client in proxy mode. It leads to a socket
// of ours, where each of its connections becomes a channel to that client.
type listening struct {
	l       net.Listener
	path    string
	release func()
}

func (w *listening) close() {
	w.release()
	w.l.Close()
	os.Remove(w.path)
}

// end takes back what the client listened for.
func (r *relay) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, w := range r.listeners {
		w.close()
		delete(r.listeners, at)
	}
}

// settleWait is how long a connection of a remote forward may take to end once
// the channel did.
const settleWait = 10 * time.Second
