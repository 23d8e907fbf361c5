package sshlink

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// open opens a channel, or fails when ctx ends, the link dies or is doubted.
// The SSH library's call cannot be given up, so it runs on in a goroutine,
// whose channel, if it comes late, is closed.
func (l *Link) open(ctx context.Context, slow func(), kind string, extra []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	return l.openWithin(ctx, openTimeout, slow, kind, extra)
}

// Unanswered is a channel open that was not answered within that time.
type Unanswered time.Duration

func (d Unanswered) Error() string {
	return fmt.Sprintf("the server did not answer a channel open within %v", time.Duration(d))
}

// hasten sees to an open that is slow, until the function that it returns is
// called.
func (l *Link) hasten(limit time.Duration, slow func()) (stop func()) {
	doubt := time.AfterFunc(min(openDoubt, limit), l.Suspect)
	if slow == nil {
		return func() { doubt.Stop() }
	}
	late := time.AfterFunc(openSlow, slow)
	return func() { late.Stop(); doubt.Stop() }
}

// openWithin is open with a limit of its own.
func (l *Link) openWithin(ctx context.Context, limit time.Duration, slow func(), kind string, extra []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	if err := l.Ending(); err != nil {
		return nil, nil, err
	}
	var (
		ch       ssh.Channel
		reqs     <-chan *ssh.Request
		err      error
		answered = make(chan struct{})
	)
	go func() {
		ch, reqs, err = l.ask(kind, extra)
		close(answered)
	}()
	if why := l.await(ctx, limit, slow, answered); why != nil {
		c := &closing{}
		l.closes(c, func() {})
		go func() {
			if <-answered; err == nil {
				go ch.Close()
				ssh.DiscardRequests(reqs)
			}
			l.closed(c)
		}()
		return nil, nil, why
	}
	return ch, reqs, err
}

// ask is the library's OpenChannel. How long a session took is how far the server
// is, until a probe tells that better: the quickest, and not the first one, for
// which sshd has just made a process.
func (l *Link) ask(kind string, extra []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	asked := time.Now()
	ch, reqs, err := l.Conn.OpenChannel(kind, extra)
	if err == nil {
		l.library.opened(l.Conn, ch)
	}
	if took := int64(time.Since(asked)); err == nil && kind == "session" && l.asked.Add(1) > 1 && !l.probed.Load() {
		if old := l.rtt.Load(); old == 0 || took < old {
			l.rtt.CompareAndSwap(old, took) // one of two at the same time will do
		}
	}
	return ch, reqs, err
}

// await waits for the answer to a channel open. One that is slow is told to slow,
// where that is not nil, and then makes the link prove itself.
func (l *Link) await(ctx context.Context, limit time.Duration, slow func(), answered <-chan struct{}) error {
	doubted := l.doubts()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	defer l.hasten(limit, slow)()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		// An open that the library takes in the moment of the end is answered
		// late: see freeOpens.
		return l.Err()
	case <-doubted:
		return ErrDoubted
	case <-timer.C:
		return Unanswered(limit)
	}
}
