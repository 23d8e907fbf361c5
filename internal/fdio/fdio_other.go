//go:build !linux

package fdio

import (
	"os"

	"golang.org/x/sys/unix"
)

const getTermios = unix.TIOCGETA

// newPort serves everything that can block by poll(2), with a pipe that wakes
// it, and a call that may block in the race that held.aside tells of.
func newPort(fd, mode int) (port, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		return plain{hold(fd)}, nil
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_ACCMODE != unix.O_RDWR && flags&unix.O_ACCMODE != mode {
		return plain{hold(fd)}, nil // EBADF, at once
	}
	r, w, err := os.Pipe()
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	p := &waker{r: int(r.Fd()), end: w, output: mode == unix.O_WRONLY, terminal: IsTerminal(fd)}
	p.blind = blind{held: hold(fd), wait: p.await}
	p.with = r
	return p, nil
}

// waker waits in poll, which the end of a pipe wakes.
type waker struct {
	blind
	r        int      // the end that poll has
	end      *os.File // closing it wakes poll
	output   bool
	terminal bool
}

func (p *waker) close() { p.held.close(func() { p.end.Close() }) }

// await has its turn while it waits, so that nothing is closed in its hands.
func (p *waker) await() error {
	_, err := p.direct(func() (int, error) {
		woken, err := p.poll()
		if woken {
			err = os.ErrClosed
		}
		return 0, err
	})
	return err
}

func (p *waker) poll() (woken bool, err error) {
	if p.terminal {
		return p.sel()
	}
	events := int16(unix.POLLIN)
	if p.output {
		events = unix.POLLOUT
	}
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: events}, {Fd: int32(p.r), Events: unix.POLLIN}}
	_, err = unix.Poll(fds, -1)
	return fds[1].Revents != 0, err
}

// sel is poll for terminals, which poll on macOS calls invalid.
func (p *waker) sel() (woken bool, err error) {
	top := max(p.fd, p.r)
	if top >= unix.FD_SETSIZE {
		return false, unix.EMFILE
	}
	var r, w unix.FdSet
	r.Set(p.r)
	if p.output {
		w.Set(p.fd)
	} else {
		r.Set(p.fd)
	}
	_, err = unix.Select(top+1, &r, &w, nil, nil)
	return err == nil && r.IsSet(p.r), err
}
