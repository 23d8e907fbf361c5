package sshauth

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// relay takes the questions of a program's SSH_ASKPASS (see Askpass) and hands
// them to whoever reads questions, which is the goroutine of a login: only that
// may ask its person.
//
//	ssh-add ──runs──► SSH_ASKPASS ══ Unix socket ══► relay ──questions──► Login ──► Ask
type relay struct {
	ln        *net.UnixListener
	questions chan *asked
	ctx       context.Context
	cancel    context.CancelFunc
	wg        sync.WaitGroup
}

// asked is a question that waits for its answer.
type asked struct {
	ctx        context.Context // ends when the program does not wait any more
	hint, text string
	answer     chan []byte // capacity 1; nil is a refusal; the relay wipes it
}

// acceptPause is the pause after a connection that could not be accepted.
const acceptPause = 100 * time.Millisecond

// newRelay listens at path, in a directory that is nobody else's.
func newRelay(path string) (*relay, error) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	r := &relay{ln: ln, questions: make(chan *asked)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.wg.Go(r.accept)
	return r, nil
}

// close refuses what is still asked, and removes the socket.
func (r *relay) close() {
	r.cancel()
	r.ln.Close()
	r.wg.Wait()
}

func (r *relay) accept() {
	for {
		c, err := r.ln.AcceptUnix()
		if r.ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return
		}
		if err != nil {
			// No descriptor is free, as a rule. The agent's relay lives for as long
			// as the agent, and whoever called waits until it is heard.
			select {
			case <-time.After(acceptPause):
			case <-r.ctx.Done():
			}
			continue
		}
		r.wg.Go(func() {
			defer c.Close()
			stop := context.AfterFunc(r.ctx, func() { c.Close() })
			defer stop()
			if checkPeer(c) == nil {
				r.serve(c)
			}
		})
	}
}

// serve carries one question to its answer.
func (r *relay) serve(c *net.UnixConn) {
	hint, text, err := readQuestion(c)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	// The other end says nothing more: what Read returns is that it has gone.
	r.wg.Go(func() { defer cancel(); c.Read(make([]byte, 1)) })
	q := &asked{ctx: ctx, hint: hint, text: text, answer: make(chan []byte, 1)}
	select {
	case r.questions <- q:
	case <-ctx.Done():
		c.Close() // for the goroutine that reads
		return
	}
	select {
	case b := <-q.answer:
		if b != nil {
			out := append([]byte{1}, b...)
			c.Write(out)
			clear(out)
			clear(b)
		}
	case <-ctx.Done():
	}
	c.Close()
}

func readQuestion(c *net.UnixConn) (hint, text string, err error) {
	c.SetReadDeadline(time.Now().Add(questionTime))
	defer c.SetReadDeadline(time.Time{})
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return "", "", err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxQuestion {
		return "", "", errors.New("the question is too long")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		return "", "", err
	}
	hint, text, _ = strings.Cut(string(b), "\x00")
	return hint, text, nil
}
