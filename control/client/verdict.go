package client

import (
	"errors"
	"io"

	"muxd/control"
)

// verdict is what muxd tells of a connection. It implements control.Handler.
type verdict struct {
	nobody
	opened chan struct{} // closed when there is a connection
	eof    chan struct{} // closed when the far side has ended sending
	done   chan struct{} // closed when err is set
	err    error         // how it ended; nil is well
}

func newVerdict() *verdict {
	return &verdict{opened: make(chan struct{}), eof: make(chan struct{}), done: make(chan struct{})}
}

// wait hears the operation to its end.
func (v *verdict) wait(op *control.Op) {
	_, v.err = op.Wait(v)
	close(v.done)
	op.Close()
}

// notOpened is why there is no connection, after the end of the operation.
func (v *verdict) notOpened(op *control.Op) error {
	switch {
	case errors.Is(v.err, control.ErrGone):
		return &failure{&control.Error{Phase: control.Lost, Text: "muxd went away before the connection was open"}, v.err}
	case v.err != nil:
		return v.err
	}
	return notOpened(op, op.Plan().Host, "a connection")
}

// notOpened is why an operation that ended well has come to nothing.
func notOpened(op *control.Op, host, what string) error {
	e := &control.Error{Phase: control.NotDialled, Host: host, Text: "the options ask for something else than " + what}
	if op.Plan().HandOver != nil {
		e.Text = "the ControlPath is served by a master that is not muxd"
	}
	return e
}

// ended is what the end of the operation means for one who reads.
func (v *verdict) ended(c *Client) error {
	switch {
	case errors.Is(v.err, control.ErrGone):
		return &failure{&control.Error{Phase: control.Running, Host: c.host, Text: "muxd went away"}, v.err}
	case v.err != nil:
		return c.asError(control.Running, v.err)
	}
	return io.EOF
}

// Opened implements control.Handler.
func (v *verdict) Opened(*control.Plan) { close(v.opened) }

// StdoutEOF implements control.Handler.
func (v *verdict) StdoutEOF() { close(v.eof) }

// Stdout implements control.Handler: what comes here is a text.
func (v *verdict) Stdout([]byte) error { return nil }

// Stderr implements control.Handler.
func (v *verdict) Stderr([]byte) error { return nil }
