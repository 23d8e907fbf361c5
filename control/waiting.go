package control

// Waiting implements Prompter. It never waits, and a client that does not read
// makes nothing pile up: the state it has not been sent is replaced.
func (o *operation) Waiting(w Waiting) {
	if o.current() == nil {
		o.w.postLatest(frameWaiting, w.encode())
	}
}

// Impatient implements Prompter.
func (o *operation) Impatient() <-chan struct{} { return o.impatient }

// retry is the client's wish for another attempt. One that was not taken yet
// is as good as two.
func (o *operation) retry() {
	select {
	case o.impatient <- struct{}{}:
	default:
	}
}

func (w Waiting) encode() []byte {
	e := encoder{}
	e.u32(uint32(w.Attempt))
	e.bool(w.Dialling)
	e.ms(w.Next)
	e.ms(w.Silence)
	e.str(CleanLine(w.Cause))
	return e.b
}

func decodeWaiting(b []byte) (Waiting, error) {
	d := decoder{b: b}
	w := Waiting{Attempt: int(d.u32()), Dialling: d.bool(), Next: d.ms(), Silence: d.ms(), Cause: d.str()}
	return w, d.done()
}
