package forward

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// pipe is one connection that goes through a forward: a local one, accepted
// here or made to where a remote forward leads, and the server's channel.
// Each direction has a goroutine, which is all that waits for it.
//
//	out:  local ──► channel    inward: channel ──► local
type pipe struct {
	w     *forward
	local net.Conn
	ch    Channel

	toLocal, toServer *atomic.Int64

	once sync.Once     // guards the end
	out  chan struct{} // closed when nothing more goes to the channel

	mu      sync.Mutex // guards what follows
	inDone  bool       // the server sent all there is
	outDead bool       // the server takes nothing more, and what comes is thrown away
}

// carry connects the two until both directions ended, and closes them. The
// counters are those of the forward.
func (w *forward) carry(local net.Conn, ch Channel, toLocal, toServer *atomic.Int64) {
	p := &pipe{w: w, local: local, ch: ch, toLocal: toLocal, toServer: toServer, out: make(chan struct{})}
	s := w.set
	s.mu.Lock()
	closed := s.ctx.Err() != nil
	if !closed {
		s.pipes[p] = struct{}{}
	}
	s.mu.Unlock()
	if closed {
		p.abort(true)
		return
	}
	w.open.Add(1)
	w.total.Add(1)
	go p.outward()
	p.inward()
	<-p.out
	p.abort(false)
	w.open.Add(-1)
	s.mu.Lock()
	delete(s.pipes, p)
	s.mu.Unlock()
}

// abort ends both sides at once, whichever goroutine is in them; unclean has the
// local side reset, so that nobody takes what it got for all there was.
func (p *pipe) abort(unclean bool) {
	p.once.Do(func() {
		if unclean {
			reset(p.local)
		} else {
			p.local.Close()
		}
		p.ch.Close()
	})
}

// inward carries what the server sends. A local side that takes nothing more may
// still send, or have sent what is on its way: then what comes is thrown away,
// and the other direction decides when it is over.
func (p *pipe) inward() {
	err := pump(&stepped{r: p.ch}, p.local, p.toLocal)
	deaf := err.write != nil
	if deaf {
		drained := make(chan pumped, 1)
		go func() {
			var none atomic.Int64
			drained <- pump(&stepped{r: p.ch}, nowhere{}, &none)
		}()
		select {
		case err = <-drained:
		case <-p.out:
			p.abort(false)
			return
		}
	}
	if err.read != io.EOF || p.ch.Lost() != nil {
		p.abort(true)
		return
	}
	if half, ok := p.local.(interface{ CloseWrite() error }); !deaf && (!ok || half.CloseWrite() != nil) {
		p.abort(false)
		return
	}
	p.settle(&p.inDone)
	end, ok := p.ch.(ended)
	if !ok {
		return
	}
	select {
	case <-p.out:
	case <-end.Done():
		if p.ch.Lost() != nil {
			p.abort(true)
			return
		}
		p.settle(&p.outDead)
	}
}

// outward carries what the local side sends.
func (p *pipe) outward() {
	defer close(p.out)
	err := pump(source(p.local), p.ch, p.toServer)
	switch {
	case err.read == io.EOF:
		p.ch.CloseWrite() // should it fail, inward hears why
	case err.read != nil:
		p.abort(false)
	case p.ch.Lost() != nil:
		p.abort(true)
	default:
		p.settle(&p.outDead)
		var none atomic.Int64
		pump(source(p.local), nowhere{}, &none)
	}
}

// settleMost is how long a local side may go on sending to a server that has
// said all and listens no more. Closing with its bytes unread would reset the
// connection, and with it what it has not read yet.
const settleMost = time.Second

// settle marks one of two facts; with both the local side has a moment left.
func (p *pipe) settle(fact *bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*fact = true
	if p.inDone && p.outDead {
		p.local.SetReadDeadline(time.Now().Add(settleMost))
	}
}

type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
