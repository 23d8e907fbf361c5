package sshlink

import (
	"errors"
	"net"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/forward"
)

// channels answers what the server opens. Whatever is not for something that was
// asked for on this very connection is rejected. Nothing here waits: the SSH
// library holds 16 opens that nobody has taken, and the next one stops the whole
// connection, with everybody's sessions on it. Nor is anything let in while muxd
// is locked.
func (l *Link) channels(chans <-chan ssh.NewChannel) {
	for c := range chans {
		if l.owed() {
			l.reject(c, ssh.ResourceShortage, "too many channels are left unclosed")
		} else if l.Distrusted || l.Gate.Within() != nil || !l.opened(c) {
			l.Log.Debug("server opened a channel, rejected", "type", c.ChannelType())
			l.reject(c, ssh.Prohibited, "open failed")
		}
	}
}

// mostRejecting bounds the refusals that a server has not taken yet. One that
// goes on asking and does not read stops its own connection then, and nothing
// else.
const mostRejecting = 1024

// reject says no. That only writes, but takes long where the transport is stuck,
// and the reader of the connection must not stand behind it: what the server
// waits for may be that we read.
func (l *Link) reject(c ssh.NewChannel, why ssh.RejectionReason, text string) {
	if l.rejecting.Add(1) > mostRejecting {
		c.Reject(why, text)
		l.rejecting.Add(-1)
		return
	}
	go func() {
		c.Reject(why, text)
		l.rejecting.Add(-1)
	}()
}

// opened hands a channel to whoever it is for, and reports whether there is
// somebody.
func (l *Link) opened(c ssh.NewChannel) bool {
	switch c.ChannelType() {
	case "forwarded-tcpip":
		var m struct {
			Host     string
			Port     uint32
			FromHost string
			FromPort uint32
		}
		if ssh.Unmarshal(c.ExtraData(), &m) != nil || m.Port > 65535 {
			return false
		}
		if m.Host == "" {
			m.Host = "*" // see listenRequest
		}
		l.Forwards.Incoming(l, control.Endpoint{Host: m.Host, Port: int(m.Port)},
			net.JoinHostPort(m.FromHost, strconv.Itoa(int(m.FromPort))), l.incoming(c))
		return true
	case "forwarded-streamlocal@openssh.com":
		var m struct{ Path, Reserved string }
		if ssh.Unmarshal(c.ExtraData(), &m) != nil {
			return false
		}
		l.Forwards.Incoming(l, control.Endpoint{Path: m.Path}, "", l.incoming(c))
		return true
	case "auth-agent@openssh.com":
		return l.lendAgent(c)
	case "x11":
		return l.lendDisplay(c)
	}
	return false
}

// incoming is such a channel, for a forward. It counts as a connection through the
// link from the moment that it came: what it is to be connected to may take its
// time, and a link that is replaced meanwhile carries it all the same.
type incoming struct {
	l *Link
	c ssh.NewChannel
}

func (l *Link) incoming(c ssh.NewChannel) *incoming {
	l.addHop(1)
	return &incoming{l: l, c: c}
}

// Accept implements forward.Incoming.
func (i *incoming) Accept() (forward.Channel, error) {
	defer i.l.addHop(-1)
	return i.l.accept(i.c)
}

// Reject implements forward.Incoming.
func (i *incoming) Reject(busy bool, text string) {
	defer i.l.addHop(-1)
	why := ssh.ConnectionFailed
	if busy {
		why = ssh.ResourceShortage
	}
	i.c.Reject(why, text)
}

// accept takes a channel that the server opened. The link does not expire while
// it is open.
func (l *Link) accept(c ssh.NewChannel) (*through, error) {
	ch, reqs, err := c.Accept()
	if err != nil {
		return nil, err
	}
	return l.carry(ch, reqs, l.Owner.Opened(c)), nil
}

var errEnds = errors.New("the connection ends")

// through is an open channel that carries a connection and no session. It
// implements forward.Channel.
type through struct {
	ssh.Channel
	l    *Link
	user *User
	once sync.Once // of the first end seen

	ended  error // written in once: what had become of the link by then
	unsure bool  // written in once: a write had failed by then
	closed sync.Once
	done   chan struct{} // closed when the server closed the channel, or the link ended

	closing closing
}

// carry counts a connection through the link until it is closed.
func (l *Link) carry(ch ssh.Channel, reqs <-chan *ssh.Request, u *User) *through {
	l.addHop(1)
	t := &through{Channel: ch, l: l, user: u, done: make(chan struct{})}
	go func() {
		ssh.DiscardRequests(reqs)
		l.closed(&t.closing)
		close(t.done)
		t.saw() // as it stands now, however late the last of it is read
	}()
	return t
}

// Done is closed when the channel is closed: the server takes nothing any more.
func (t *through) Done() <-chan struct{} { return t.done }

// Read implements forward.Channel.
func (t *through) Read(p []byte) (int, error) {
	n, err := whole{t.Channel}.Read(p)
	if err != nil {
		t.saw()
	}
	return n, err
}

// Write implements forward.Channel.
func (t *through) Write(p []byte) (int, error) {
	n, err := t.Channel.Write(p)
	if err != nil {
		t.saw()
	}
	return n, err
}

// saw notes how the link stood when the channel ended. Looked at later, a link
// that was lost in the meantime would make a loss of a whole transfer.
func (t *through) saw() {
	t.once.Do(func() {
		t.unsure = t.l.Wire.WriteOver()
		if t.l.torn() {
			if t.ended = t.l.Died(); t.ended == nil {
				t.ended = errEnds
			}
		}
	})
}

// Lost implements forward.Channel.
func (t *through) Lost() error {
	t.saw()
	if t.ended == nil && t.unsure {
		return t.l.Died()
	}
	return t.ended
}

// Close implements forward.Channel. The channel is closed in a goroutine: on a
// link that is stuck that would block.
func (t *through) Close() error {
	t.closed.Do(func() {
		t.l.closes(&t.closing, func() { readAway(t.Channel) })
		go t.Channel.Close()
		t.l.addHop(-1)
		t.user.Release()
	})
	return nil
}
