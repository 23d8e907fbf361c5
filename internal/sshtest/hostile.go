package sshtest

import (
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
)

var errNoLogin = errors.New("the connection ended before the login was complete")

// Open opens a channel at the client: "forwarded-tcpip",
// "auth-agent@openssh.com", or one that it has never heard of. The channel's
// requests are discarded.
func (p *Peer) Open(kind string, extra []byte) (ssh.Channel, error) {
	conn := p.Conn()
	if conn == nil {
		return nil, errNoLogin
	}
	ch, requests, err := conn.OpenChannel(kind, extra)
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(requests) // ends with the channel
	return ch, nil
}

// Request sends a global request to the client, such as keepalive@openssh.com,
// and returns its answer if it wants one.
func (p *Peer) Request(name string, wantReply bool, payload []byte) (ok bool, answer []byte, err error) {
	conn := p.Conn()
	if conn == nil {
		return false, nil, errNoLogin
	}
	return conn.SendRequest(name, wantReply, payload)
}

// FloodRequests sends n requests without reply on the session's channel. A
// client of x/crypto that does not take them from their Go channel stops
// reading its connection after the sixteenth; FloodRequests then blocks once
// the pipe is full.
func (s *Session) FloodRequests(n int) error {
	for range n {
		if err := s.Request("flood@sshtest", nil); err != nil {
			return err
		}
	}
	return nil
}

// FloodGlobals sends n global requests without reply.
func (p *Peer) FloodGlobals(n int) error {
	for range n {
		if _, _, err := p.Request("flood@sshtest", false, nil); err != nil {
			return err
		}
	}
	return nil
}

// FloodOpens opens n channels of one type at the client, all at the same time,
// closes those that are accepted, and returns when each has been answered or
// the connection has ended, how many were accepted and how many refused.
func (p *Peer) FloodOpens(kind string, extra []byte, n int) (accepted, refused int) {
	var yes, no atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			var why *ssh.OpenChannelError
			ch, err := p.Open(kind, extra)
			switch {
			case err == nil:
				yes.Add(1)
				ch.Close()
			case errors.As(err, &why):
				no.Add(1)
			}
		})
	}
	wg.Wait()
	return int(yes.Load()), int(no.Load())
}
