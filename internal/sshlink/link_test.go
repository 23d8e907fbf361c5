package sshlink

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/sshtest"
	"muxd/internal/wire"
)

// An open that the library takes at the moment of the connection's end is
// never answered by it.
func TestOpenOnADeadLink(t *testing.T) {
	linked(t, sshtest.Options{}, func(t *testing.T, l *Link, srv *sshtest.Server) {
		dead := &Link{Config: Config{Conn: deaf{l.Conn}}, done: l.done, doubted: make(chan struct{}), err: ErrAsked}
		srv.Last().Drop()
		synctest.Wait()
		start := time.Now()
		if _, _, err := dead.open(t.Context(), nil, "session", nil); err != ErrAsked || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		time.Sleep(time.Hour)
	})
}

// deaf answers no open for an hour.
type deaf struct{ ssh.Conn }

func (deaf) OpenChannel(string, []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	time.Sleep(time.Hour)
	return nil, nil, errors.New("late")
}

// The newest session that lends is the lender.
func TestNewestLends(t *testing.T) {
	linked(t, sshtest.Options{}, func(t *testing.T, l *Link, _ *sshtest.Server) {
		run(t, l, nil, "cat")
		run(t, l, nil, "cat")
		newest := run(t, l, nil, "cat")
		if got := l.lender(func(*Session) bool { return true }); got != newest {
			t.Error("the newest is not the lender")
		}
	})
}

// None of the calls that a client's frames lead to waits for a stuck link, and of
// those without end not all are kept.
func TestNothingWaitsForAStuckLink(t *testing.T) {
	linked(t, sshtest.Options{Buffer: 4 << 10}, func(t *testing.T, l *Link, srv *sshtest.Server) {
		s := run(t, l, &control.TTY{}, "cat")
		synctest.Wait()
		srv.Last().Pipe().Stall()
		go s.Write(make([]byte, 1<<20))
		synctest.Wait()
		start := time.Now()
		for i := range 1000 {
			s.Resize(control.Window{Cols: uint32(i)})
			s.Signal("INT")
		}
		s.CloseRead()
		s.Close()
		s.Close()
		if d := time.Since(start); d != 0 {
			t.Errorf("waited %v", d)
		}
		s.mu.Lock()
		n := len(s.sends)
		s.mu.Unlock()
		if n > 70 {
			t.Errorf("%d calls are kept", n)
		}
	})
}

// tardy tells the connection's end a while after that of its channels.
type tardy struct{ ssh.Conn }

func (c tardy) Wait() error {
	err := c.Conn.Wait()
	time.Sleep(brokenAfter / 2)
	return err
}

// A connection that is reset under its sessions says so, also where it is in doubt
// or on its way out, and the last of them ends before the end of the connection is
// told.
func TestResetIsNotSilence(t *testing.T) {
	for state, begin := range map[State]func(l *Link, srv *sshtest.Server){
		Ready:    func(*Link, *sshtest.Server) {},
		Draining: func(l *Link, _ *sshtest.Server) { l.Drain() },
		Suspect: func(l *Link, srv *sshtest.Server) {
			srv.Last().Pipe().Stall()
			l.Suspect()
			time.Sleep(proofPatience)
		},
	} {
		linkedBy(t, sshtest.Options{}, func(c ssh.Conn) ssh.Conn { return tardy{c} }, func(t *testing.T, l *Link, srv *sshtest.Server) {
			s := run(t, l, nil, "cat")
			begin(l, srv)
			if synctest.Wait(); l.State() != state {
				t.Fatalf("it is %v, not %v", l.State(), state)
			}
			srv.Last().Pipe().Cut()
			if _, err := s.Wait(); err == nil || !strings.Contains(err.Error(), "connection lost (connection reset by peer)") {
				t.Errorf("%v: %v", state, err)
			}
			if <-l.Done(); l.Err() == nil || l.Err().Error() != "connection reset by peer" {
				t.Errorf("%v: %v", state, l.Err())
			}
		})
	}
}

// Nor where its silence would have been judged between the end of its channels and
// the telling of its own.
func TestResetBeforeTheVerdict(t *testing.T) {
	for verdict, c := range map[State]struct {
		terms alive.Config
		given func(l *Link) bool
	}{
		Suspect: {alive.Config{}, func(l *Link) bool { return l.State() == Suspect }},
		Dead:    {alive.Config{Set: true, Interval: 3 * time.Second, CountMax: 1}, func(l *Link) bool { return l.Ending() != nil }},
	} {
		silent := func(f func(s *Session, p *sshtest.Conn)) {
			linkedBy(t, sshtest.Options{}, func(c ssh.Conn) ssh.Conn { return tardy{c} }, func(t *testing.T, l *Link, srv *sshtest.Server) {
				u := user()
				u.Dest.AliveOverride = &c.terms
				l.Add(u)
				s := run(t, l, nil, "cat")
				synctest.Wait()
				srv.Last().Pipe().Stall()
				l.Suspect()
				f(s, srv.Last().Pipe())
				<-l.Done()
			})
		}
		var after time.Duration
		silent(func(s *Session, p *sshtest.Conn) {
			for begin := time.Now(); !c.given(s.l); after = time.Since(begin) {
				time.Sleep(time.Millisecond)
			}
			p.Cut()
		})
		silent(func(s *Session, p *sshtest.Conn) {
			time.Sleep(after - brokenAfter/4)
			if c.given(s.l) {
				t.Errorf("%v at once", verdict)
			}
			p.Cut()
			if _, err := s.Wait(); err == nil || !strings.Contains(err.Error(), "connection lost (connection reset by peer)") {
				t.Errorf("%v: %v", verdict, err)
			}
			if <-s.l.Done(); s.l.Err() == nil || s.l.Err().Error() != "connection reset by peer" {
				t.Errorf("%v: %v", verdict, s.l.Err())
			}
		})
	}
}

func TestDescribeEnd(t *testing.T) {
	op := func(err error) error {
		return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "the server closed the connection"}, {io.EOF, "the server closed the connection"},
		{net.ErrClosed, "closed"}, {op(syscall.ECONNRESET), "connection reset by peer"},
		{op(syscall.ETIMEDOUT), "connection timed out"}, {op(syscall.EPIPE), "broken pipe"},
		{errors.New("ssh: invalid packet length, packet too large"), "ssh: invalid packet length, packet too large"},
	} {
		if got := describeEnd(c.err).Error(); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// broken runs f with a link whose server breaks the protocol and goes on sending,
// so that the library's reader stands, and the library does not come to its end.
func broken(t *testing.T, f func(t *testing.T, l *Link)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { // which fails over a goroutine that is left
		near, far := sshtest.Pipe()
		key, sent := sshtest.NewKey(), make(chan error, 1)
		go func() {
			r := sshtest.NewRogue(far, key)
			err := r.Login()
			said := &said{Conn: far}
			r.Conn = said
			for i := 0; i < 100 && err == nil; i++ {
				if i < 20 { // more than the library takes before there is somebody for them
					err = r.Write(sshtest.Packet(sshtest.MsgGlobal, "nonsense", false))
				} else {
					err = r.Write(sshtest.Packet(sshtest.MsgData, uint32(77), "x"))
				}
			}
			if err == nil {
				_, err = far.Write(said.all) // at once, so that the library has it before it ends
			}
			sent <- err
		}()
		w := wire.New(near)
		c, chans, reqs, err := ssh.NewClientConn(w, "host:22", &ssh.ClientConfig{User: "me", HostKeyCallback: ssh.FixedHostKey(key.PublicKey())})
		if err != nil {
			t.Fatal(err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		l := newLink(c, w)
		l.Start(chans, reqs)
		f(t, l)
		<-l.Done()
		if err := l.Err(); !strings.Contains(err.Error(), "invalid channel") {
			t.Error(err)
		}
		if took := time.Since(start); took != brokenAfter {
			t.Errorf("after %v: the library's reader was not stuck", took)
		}
	})
}

// A server that breaks the protocol, and goes on sending, has the library's reader
// stand for ever: the link ends all the same, and leaves nothing.
func TestBrokenProtocolLeavesNothing(t *testing.T) {
	broken(t, func(*testing.T, *Link) {})
}

// Of opens that come between the library's end of its channels and that of the
// connection the first counts as sent, and no answer can come: it ends with the
// link, as the others do, and leaves nothing.
func TestOpenBehindTheEnd(t *testing.T) {
	broken(t, func(t *testing.T, l *Link) {
		synctest.Wait() // the library has forgotten its channels and closed the wire
		for range 3 {
			go func() {
				if _, _, err := l.open(t.Context(), nil, "session", nil); err == nil {
					t.Error("opened")
				}
			}()
		}
		if synctest.Wait(); l.Err() != nil {
			t.Error("the link has ended: the opens came too late to show anything")
		}
	})
}

// said keeps what is written.
type said struct {
	net.Conn
	all []byte
}

func (s *said) Write(p []byte) (int, error) {
	s.all = append(s.all, p...)
	return len(p), nil
}

// late is a context in which something happens when somebody begins to wait for
// its end.
type late struct {
	context.Context
	once *sync.Once
	f    func()
}

func (c late) Done() <-chan struct{} {
	c.once.Do(c.f)
	return c.Context.Done()
}

// Nothing is handed to a connection whose end was decided when the session was
// open and not counted yet: the command provably did not start.
func TestNothingIsSentOnALinkThatEnds(t *testing.T) {
	linked(t, sshtest.Options{}, func(t *testing.T, l *Link, srv *sshtest.Server) {
		ctx := late{t.Context(), new(sync.Once), func() {
			synctest.Wait() // the open is answered
			l.Drain()
		}}
		u := user()
		_, err := l.StartSession(ctx, u, command(u, "true"), nil)
		var e *control.Error
		if !errors.As(l.Failure("host", err), &e) || e.Phase != control.Lost {
			t.Errorf("%v: phase %v", err, e.Phase)
		}
		if synctest.Wait(); srv.Count(sshtest.ChannelOpen, "session") != 1 || srv.Count(sshtest.ChannelRequest, "exec") != 0 {
			t.Errorf("not what was meant\n%s", srv.Dump())
		}
	})
}
