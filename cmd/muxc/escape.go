package main

import (
	"strconv"

	"muxd/control"
	"muxd/internal/term"
)

// typed sends what a person typed, and carries out the escapes in it. It runs
// where the terminal is read, so nothing reads it meanwhile.
func (u *ui) typed(op *control.Op, esc *term.Escaper, b []byte) error {
	for _, ev := range esc.Feed(b) {
		if ev.Action == term.Pass {
			if err := op.Stdin(append(make([]byte, control.StdinRoom, control.StdinRoom+len(ev.Bytes)), ev.Bytes...)); err != nil {
				return err
			}
			continue
		}
		u.midLine.Store(false)
		writeAll(2, []byte(esc.Text(ev))) // whole lines
		switch ev.Action {
		case term.Disconnect:
			u.leave("Connection to "+u.plan.Host+" closed.", exitFailed)
		case term.Break:
			op.Signal(control.Break)
		case term.List:
			u.list()
		case term.Suspend:
			u.suspend(op)
		}
	}
	return nil
}

// list is what ~# shows: of the connection, muxc knows who holds it.
func (u *ui) list() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.print("The following connections are open:\n  #0 session to " + u.plan.Host +
		", held by muxd (pid " + strconv.Itoa(u.pid) + "; muxd status shows the others)")
}

// suspend is ~^Z: it returns when the shell brings this process back.
func (u *ui) suspend(op *control.Op) {
	u.mu.Lock()
	st := u.state
	u.mu.Unlock()
	if st == nil {
		return
	}
	if _, err := st.Suspend(); err == nil {
		op.Resize(size())
	}
}
