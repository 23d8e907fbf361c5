package control

import "errors"

// GetStatus asks a muxd for its status, on a new connection. With Probe that
// takes as long as the forwards' far sides take to answer.
func GetStatus(c Conn, r StatusRequest) (*Status, error) {
	e := encoder{}
	e.u8(uint8(opStatus))
	e.bool(r.Probe)
	s := new(Status)
	return s, ask(c, e.b, nil, s.decode)
}

// Stop asks a muxd to end, on a new connection. One that drains answers when it
// has, and tells r.Waits until then.
func Stop(c Conn, r StopRequest) (*Stopped, error) {
	e := encoder{}
	e.u8(uint8(opStop))
	e.bool(r.Force)
	e.bool(r.Drain)
	s := new(Stopped)
	return s, ask(c, e.b, r.Waits, s.decode)
}

// ask is an operation that ends with a result.
func ask(c Conn, request []byte, waits func(Waiting), decode func([]byte) error) error {
	o, err := start(c, request)
	if err != nil {
		return err
	}
	if _, err := o.hello(); err != nil {
		return err
	}
	for {
		t, b, err := o.r.next()
		switch {
		case errors.Is(err, errFrame):
			return err
		case err != nil:
			return ErrGone
		case t == frameResult:
			return decode(b)
		case t == frameError:
			e, err := decodeError(b)
			if err != nil {
				return err
			}
			return e
		case t == frameWaiting && waits != nil:
			w, err := decodeWaiting(b)
			if err != nil {
				return err
			}
			waits(w)
		}
	}
}
