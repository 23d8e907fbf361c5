package control

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Admin starts a request of muxd's own commands on a new connection. Where it
// is about one destination, v names that: the command line is muxc's "-O check
// -- HOST", so that ssh_config decides what HOST means; nil is all of them.
// What there is to say comes by Handler.Notice, and the status by Op.Wait.
func Admin(c Conn, r *AdminRequest, v *Invocation) (*Op, error) {
	e := encoder{}
	e.u8(uint8(opAdmin))
	r.encode(&e)
	about(&e, v)
	return start(c, e.b)
}

// Events asks a muxd, on a new connection, to tell of events until the
// connection is closed: of the destination that v names as for Admin, or of
// all where it is nil. Op.Wait calls f with each of them and returns the first
// error of f.
func Events(c Conn, r *EventsRequest, v *Invocation, f func(Event) error) (*Op, error) {
	e := encoder{}
	e.u8(uint8(opEvents))
	e.ms(r.Since)
	e.bool(r.Only)
	about(&e, v)
	o, err := start(c, e.b)
	if err == nil {
		o.event = f
	}
	return o, err
}

// about ends a request by what it is about: all, or a destination.
func about(e *encoder, v *Invocation) {
	if e.bool(v == nil); v != nil {
		v.append(e)
	}
}

// about reads what a request is about, and resolves it.
func (o *operation) about(ctx context.Context, d *decoder) (Destination, error) {
	if all := d.bool(); all {
		return nil, d.done()
	}
	v := &Invocation{PID: o.pid}
	if err := v.decode(d); err != nil {
		return nil, err
	}
	p, err := o.s.Backend.Resolve(ctx, v, o)
	if err != nil {
		return nil, err
	}
	if p.Dest == nil {
		return nil, &Error{Phase: NotDialled, Host: p.Host, Text: "that names no destination"}
	}
	return p.Dest, nil
}

func (o *operation) admin(ctx context.Context, d *decoder) error {
	r := new(AdminRequest)
	r.decode(d)
	var err error
	if r.Dest, err = o.about(ctx, d); err != nil {
		return err
	}
	m, err := o.s.Backend.Admin(ctx, r)
	if err != nil {
		return err
	}
	return o.managed(m)
}

// managed is the end of a request that is answered by a text and a status.
func (o *operation) managed(m *Managed) error {
	for piece := range slices.Chunk(m.Out, maxData) {
		o.w.hold(frameStdout, piece)
	}
	for text := m.Text; text != ""; {
		var piece string
		piece, text = cutLines(text)
		o.w.hold(frameNotice, noticeBody(piece))
	}
	return o.w.finish(frameExit, Exit{Code: uint32(m.Code)}.encode())
}

// cutLines returns as many lines of a text as one notice takes, and the rest.
// A single line that is longer is cut by Clean.
func cutLines(text string) (piece, rest string) {
	if len(text) <= maxText {
		return text, ""
	}
	if i := strings.LastIndexByte(text[:maxText], '\n'); i >= 0 {
		return text[:i+1], text[i+1:]
	}
	piece, rest, _ = strings.Cut(text, "\n")
	return piece, rest
}

// events tells of events for as long as the client is there. A client that
// does not read blocks nobody else: that is the Backend's promise.
func (o *operation) events(ctx context.Context, d *decoder) error {
	r := &EventsRequest{Since: d.ms(), Only: d.bool()}
	var err error
	if r.Dest, err = o.about(ctx, d); err != nil {
		return err
	}
	err = o.s.Backend.Events(ctx, r, func(e Event) error { return o.w.send(frameEvent, e.encode()) })
	switch {
	case ctx.Err() != nil:
		return errors.New("muxd ends") // or the client is gone, and is not told
	case err != nil:
		return err
	}
	return o.w.finish(frameExit, Exit{}.encode())
}

func (r *AdminRequest) encode(e *encoder) {
	e.str(r.Command)
	e.str(r.Shown)
	e.bool(r.Forget)
	e.bool(r.Down)
	e.ms(r.Limit)
}

func (r *AdminRequest) decode(d *decoder) {
	*r = AdminRequest{Command: d.str(), Shown: d.str(), Forget: d.bool(), Down: d.bool(), Limit: d.ms()}
}

func (v Event) encode() []byte {
	e := encoder{}
	e.when(v.Time)
	for _, s := range []string{string(v.Kind), v.Host, v.User, v.Addr} {
		e.str(CleanLine(s))
	}
	e.u32(uint32(v.Link))
	e.str(CleanLine(v.From))
	e.str(CleanLine(v.To))
	e.u32(uint32(v.Attempt))
	e.ms(v.Silence)
	e.str(CleanLine(v.Text))
	return e.b
}

func decodeEvent(b []byte) (Event, error) {
	d := decoder{b: b}
	v := Event{Time: d.when(), Kind: EventKind(d.str()), Host: d.str(), User: d.str(), Addr: d.str(), Link: int(d.u32()),
		From: d.str(), To: d.str(), Attempt: int(d.u32()), Silence: d.ms(), Text: d.str()}
	return v, d.done()
}
