package sshmux

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
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
	open     atomic.Int32 // channels

	mu        sync.Mutex // guards following
	listeners map[control.Endpoint]*listening
}

// Limits of a client in proxy mode, which tests shorten. The library keeps what
// nobody reads, up to a window of 2 MiB for each channel (in packets of a byte
// they are 100 MiB), so without an end of the channels there would be none of the
// memory. A browser opens 32 connections through a proxy, or a few times that.
// Sessions among them have places on the server like any client's, and stand in
// line for them as those of one client.
var (
	maxChannels  int32 = 256
	maxListeners       = 100
)

// enter makes room for one more channel, if there may be one.
func (r *relay) enter() bool {
	if r.open.Add(1) > maxChannels {
		r.leave()
		return false
	}
	return true
}

// tooMany is what a client is told that has them; ssh prints it.
func tooMany() string {
	return fmt.Sprintf("muxd: a client in proxy mode has %d channels at most; without -O proxy there is no such limit", maxChannels)
}

func (r *relay) leave() { r.open.Add(-1) }

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
		if !r.enter() {
			ch.Reject(ssh.ResourceShortage, tooMany())
			continue
		}
		r.channels.Go(func() {
			defer r.leave()
			r.channel(ctx, ch)
		})
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
	v := newVisitor(r.c, nil)
	st, err := r.c.d.s.Backend.Direct(ctx, q, v)
	if err != nil {
		open.Reject(ssh.ConnectionFailed, control.CleanLine(v.refusal(err).Error()))
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
		ch.Close() // the other side is gone: what the client still sends goes nowhere
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
