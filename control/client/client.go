package client

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"

	"muxd/control"
	"muxd/internal/launch"
	"muxd/socket"
)

// Client runs commands on one host, and dials what that can reach. It holds
// nothing open, does not change, and may be used by any number of goroutines.
type Client struct {
	host string
	opts []string
}

// New returns a Client for a host, as muxc takes it: an alias of ssh_config,
// user@host, or ssh://user@host:port. Opts are options of ssh's command line,
// one element of argv each, as in
//
//	client.New("db-host", "-J", "bastion", "-o", "ConnectTimeout=5")
//
// They are judged by muxd, so a mistake in them is an error of what is done with
// the Client. New opens nothing.
func New(host string, opts ...string) *Client {
	return &Client{host: host, opts: slices.Clone(opts)}
}

// DialContext connects to addr from the host: for the networks tcp, tcp4 and
// tcp6 that is host:port with a name that the host resolves ("" is the host
// itself) or an address, and for unix the absolute path of a socket there. Which
// family a name leads to is the host's choice: tcp4 and tcp6 only refuse an
// address of the other one. A muxd is started if none runs.
//
// Ctx bounds the dialling, its waits for the SSH connection included (the
// keyword WaitForReady bounds them too), and not what is dialled. An error is a
// *net.OpError. Where ctx ended it matches ctx.Err(); else it wraps a
// *control.Error, whose Phase says how far the dialling came. Nothing was sent
// to addr in any phase.
//
// Of the connection, CloseWrite ends what addr reads while Read goes on. A Read
// returns io.EOF only where addr ended sending; where the SSH connection was
// lost, or muxd is gone, it is a *net.OpError that wraps a *control.Error.
func (c *Client) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	remote := address{network, addr}
	spec, err := target(ctx, network, addr)
	if err == nil {
		var nc *conn
		if nc, err = attempts(ctx, func(sc *socket.Conn) (*conn, error) { return c.attempt(ctx, sc, spec) }); err == nil {
			nc.local, nc.remote = address{"ssh", c.host}, remote
			return nc, nil
		}
	}
	if err = c.asError(control.NotDialled, err); ctx.Err() != nil {
		err = ctx.Err()
	}
	return nil, &net.OpError{Op: "dial", Net: network, Addr: remote, Err: err}
}

// attempts has f make its request of a muxd, and again of another one where one
// provably took nothing on.
func attempts[T any](ctx context.Context, f func(*socket.Conn) (T, error)) (t T, err error) {
	for range launch.Attempts {
		var sc *socket.Conn
		if sc, err = connect(ctx); err != nil {
			return t, err
		}
		if t, err = f(sc); !errors.Is(err, control.ErrNotTaken) || ctx.Err() != nil {
			break
		}
	}
	return t, err
}

// connect does not wait for longer than ctx, though finding or starting muxd may
// take longer: what that comes to is closed.
func connect(ctx context.Context) (*socket.Conn, error) {
	type result struct {
		sc  *socket.Conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		sc, err := launch.Connect(false)
		done <- result{sc, err}
	}()
	select {
	case r := <-done:
		return r.sc, r.err
	case <-ctx.Done():
	}
	go func() {
		if r := <-done; r.err == nil {
			r.sc.Close()
		}
	}()
	return nil, ctx.Err()
}

// attempt makes one request of a running muxd.
func (c *Client) attempt(ctx context.Context, sc *socket.Conn, spec string) (*conn, error) {
	stop := context.AfterFunc(ctx, func() { sc.Close() })
	defer stop()
	ours, theirs, err := socket.Pair()
	if err != nil {
		sc.Close()
		return nil, err
	}
	defer ours.Close() // FileConn has a copy
	op, err := control.RunOn(sc, c.invocation(spec), int(theirs.Fd()))
	theirs.Close() // muxd has it, and is to be alone with it
	if err != nil {
		sc.Close()
		return nil, err
	}
	data, err := net.FileConn(ours)
	if err != nil {
		sc.Close()
		return nil, err
	}
	nc := newConn(c, data.(*net.UnixConn), op)
	if err = nc.opening(ctx); err == nil && !stop() {
		err = ctx.Err() // and sc is closed, or about to be
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// invocation is the command line of a connection. What stands first holds, as
// everywhere in ssh: the connection is ours and not to be passed on, and nothing
// of the configuration may write to this program's standard output.
func (c *Client) invocation(spec string) *control.Invocation {
	return c.commandLine("-o", "FdPass=no", "-o", "PermitLocalCommand=no", "-W", spec)
}

// commandLine is args, what New was given, and the host.
func (c *Client) commandLine(args ...string) *control.Invocation {
	v := &control.Invocation{Args: append(append(args, c.opts...), "--", c.host), Env: os.Environ()}
	v.Dir, _ = os.Getwd() // a directory that is gone matters only to relative paths
	return v
}

// asError gives every error a phase: its own, or the latest that it can have.
func (c *Client) asError(latest control.ErrorPhase, err error) error {
	var e *control.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &failure{&control.Error{Phase: latest, Host: c.host, Text: err.Error()}, err}
}
