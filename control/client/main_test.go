package client_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"muxd/control"
	"muxd/control/client"
	"muxd/control/controltest"
	"muxd/socket"
)

const patience = controltest.Patience

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("/tmp", "muxcl")
	if err != nil {
		panic(err)
	}
	os.Setenv("MUXD_SOCKET", filepath.Join(dir, "d", "ctl"))
	os.Setenv("PATH", "/usr/bin:/bin") // where no muxd is
	client.SetAnswerTime(patience)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { os.RemoveAll(dir); os.Exit(code) }))
}

// muxd is one in this process that does what a test says. Its zero Backend
// connects to what is asked for.
type muxd struct {
	controltest.Backend
	real   control.Backend // in the place of the scripted one, if it is set
	srv    control.Server
	l      *socket.Listener
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns []*socket.Conn        // guarded by mu
	asked []*control.Invocation // guarded by mu
}

// start serves at MUXD_SOCKET, until stop.
func (m *muxd) start() *muxd {
	l, err := socket.Listen(socket.At(os.Getenv("MUXD_SOCKET")))
	if err != nil {
		panic(err)
	}
	m.l = l
	if m.OnResolve == nil {
		m.OnResolve = m.resolve
	}
	if m.OnDirect == nil {
		m.OnDirect = connect
	}
	var b control.Backend = m
	if m.real != nil {
		b = m.real
	}
	m.srv = control.Server{Backend: b, Build: "scripted", PID: os.Getpid(), Log: silence{}}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			m.conns = append(m.conns, c)
			m.mu.Unlock()
			m.wg.Go(func() { m.srv.ServeConn(ctx, c) })
		}
	})
	return m
}

func (m *muxd) stop() {
	m.cancel()
	m.l.Close()
	m.wg.Wait()
}

// resolve knows the command lines that a Client sends.
func (m *muxd) resolve(_ context.Context, v *control.Invocation, _ control.Prompter) (*control.Plan, error) {
	m.mu.Lock()
	m.asked = append(m.asked, v)
	m.mu.Unlock()
	p := &control.Plan{Host: v.Args[len(v.Args)-1], Escape: control.NoEscape, Direct: &control.DirectRequest{Bytes: new(control.Meter)}}
	spec := v.Args[5]
	if spec[0] == '/' {
		p.Direct.Path = spec
		return p, nil
	}
	host, port, err := net.SplitHostPort(spec)
	p.Direct.Host = host
	p.Direct.Port, _ = strconv.Atoi(port)
	return p, err
}

// dies is the end of muxd without a last word, as far as clients see.
func (m *muxd) dies() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		c.Close()
	}
}

// connect is a host at which everything is as here.
func connect(ctx context.Context, r *control.DirectRequest, _ control.Prompter) (control.Stream, error) {
	network, addr := "tcp", net.JoinHostPort(r.Host, strconv.Itoa(r.Port))
	if r.Path != "" {
		network, addr = "unix", r.Path
	}
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, &control.Error{Phase: control.Refused, Host: "host", Text: "stdio forwarding to " + addr + " failed: Connection refused"}
	}
	return newFar(nc), nil
}

// far is a connection on the host's side.
type far struct {
	net.Conn
	open atomic.Int32 // directions that have not ended
	once sync.Once
	end  chan struct{} // closed by Close, and when both directions have ended
	lost error         // set before end is closed
}

func newFar(nc net.Conn) *far {
	f := &far{Conn: nc, end: make(chan struct{})}
	f.open.Store(2)
	return f
}

// ended is called once for each direction.
func (f *far) ended() {
	if f.open.Add(-1) == 0 {
		f.Close()
	}
}

func (f *far) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if err != nil {
		select {
		case <-f.end:
			if f.lost != nil {
				err = io.ErrUnexpectedEOF
			}
		default:
		}
		f.ended()
	}
	return n, err
}

func (f *far) CloseWrite() error {
	defer f.ended()
	return f.Conn.(interface{ CloseWrite() error }).CloseWrite()
}
func (f *far) CloseRead() error            { return nil }
func (f *far) Stderr() io.Reader           { return new(net.Buffers) }
func (f *far) TTY() bool                   { return false }
func (f *far) Resize(control.Window) error { return nil }
func (f *far) Signal(string) error         { return nil }
func (f *far) Wait() (control.Exit, error) { <-f.end; return control.Exit{}, f.lost }
func (f *far) Close() error                { f.lose(nil); return nil }
func (f *far) lose(err error) {
	f.once.Do(func() {
		f.lost = err
		close(f.end)
		f.Conn.Close()
	})
}

type silence struct{}

func (silence) Debug(string, ...any) {}
func (silence) Info(string, ...any)  {}
func (silence) Warn(string, ...any)  {}
