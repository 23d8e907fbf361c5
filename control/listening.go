package control

import (
	"context"
	"errors"
)

// listen has the plan's ControlPath served, and returns a Door that does nothing
// where there is none, or where somebody serves it already: as in ssh the client
// then goes on without.
func (o *operation) listen(ctx context.Context, p *Plan) (Door, error) {
	if p.Listen == nil {
		return noDoor{}, nil
	}
	if o.s.Doors == nil {
		return nil, &Error{Phase: NotDialled, Host: p.Host, Text: "this muxd serves no ControlPath"}
	}
	d, err := o.s.Doors.Open(ctx, p.Listen, o)
	var taken *TakenError
	switch {
	case errors.As(err, &taken) && !p.Detach:
		if !p.Quiet && !p.Listen.Shared {
			o.Notice(taken.Error())
		}
		return noDoor{}, nil
	case err != nil:
		return nil, &Error{Phase: NotDialled, Host: p.Host, Text: err.Error()}
	}
	o.mu.Lock()
	o.door = d
	o.mu.Unlock()
	if p.Hold != nil {
		p.Hold.Serves = true
	}
	return d, nil
}

// whileServed ends st, which only keeps the connection, when the door ends, and
// returns what ends that watch.
func (o *operation) whileServed(st Stream, door Door) (unwatch func()) {
	stop := make(chan struct{})
	go func() {
		select {
		case <-door.Done():
			if door.Ended() { // else the connection ends too, with the reason
				st.Close()
			}
		case <-stop:
		}
	}()
	return func() { close(stop) }
}

// moved is the client's word that another process goes on for it (ssh -f), whose
// number the kernel cannot tell: it knows who connected. It is believed, since a
// client that lies deceives only those who ask for it.
func (o *operation) moved(b []byte) error {
	d := decoder{b: b}
	pid := int(d.u32())
	if err := d.done(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.door != nil {
		o.door.Moved(pid)
	}
	return nil
}

// noDoor is the Door of a client that stands for none.
type noDoor struct{}

func (noDoor) Resized()              {}
func (noDoor) Opened()               {}
func (noDoor) Moved(int)             {}
func (noDoor) Keep()                 {}
func (noDoor) Done() <-chan struct{} { return nil }
func (noDoor) Ended() bool           { return false }
func (noDoor) Drain(context.Context) {}
func (noDoor) Close()                {}
