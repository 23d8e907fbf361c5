package fdio

import (
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const getTermios = unix.TCGETS

// newPort chooses the way to serve fd, whose owner it becomes, also when it
// fails; mode is O_RDONLY or O_WRONLY.
func newPort(fd, mode int) (port, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, err
	}
	access := flags & unix.O_ACCMODE
	if flags&unix.O_PATH != 0 || access != unix.O_RDWR && access != mode {
		// Opening it again might give what the descriptor does not, and what
		// cannot be read is never ready. The kernel answers EBADF at once.
		return plain{hold(fd)}, nil
	}
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFREG || kind == unix.S_IFCHR && isNull(&st) {
		return plain{hold(fd)}, nil // as epoll would say too, for four more calls
	}
	if kind == unix.S_IFIFO || kind == unix.S_IFCHR && isTerminalItself(fd, &st) {
		if f := reopen(fd, mode); f != nil {
			unix.Close(fd)
			return private{f}, nil
		}
	}
	return newPolled(fd, mode, kind == unix.S_IFSOCK)
}

// isNull reports /dev/null and /dev/zero, which commands are given most of all
// (mem(4), null(4)).
func isNull(st *unix.Stat_t) bool {
	return unix.Major(st.Rdev) == 1 && (unix.Minor(st.Rdev) == 3 || unix.Minor(st.Rdev) == 5)
}

// isTerminalItself reports whether opening the file of fd again gives the same
// terminal. It does not for /dev/tty, which is each process's own, for the
// master's side, which makes a new pair each time, and for /dev/console.
func isTerminalItself(fd int, st *unix.Stat_t) bool {
	dev, err := unix.IoctlGetUint32(fd, unix.TIOCGDEV)
	// The kernel's coding of device numbers for ioctls; stat's has more bits.
	major, minor := dev>>8&0xfff, dev&0xff|dev>>12&0xfff00
	return err == nil && unix.Major(st.Rdev) == major && unix.Minor(st.Rdev) == minor
}

// reopen returns nil where that is impossible: the file belongs to another
// user, /proc is missing, the terminal is exclusive, or nobody reads the FIFO,
// which is for write to find out.
func reopen(fd, mode int) *os.File {
	path := "/proc/self/fd/" + strconv.Itoa(fd)
	own, err := retry(func() (int, error) {
		return unix.Open(path, mode|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil
	}
	f, err := pollable(own)
	if err != nil {
		return nil
	}
	return f
}

// pollable has Go's poller wait for fd, which is non-blocking and ours alone.
func pollable(fd int) (*os.File, error) {
	f := os.NewFile(uintptr(fd), "")
	// What the poller did not take, os.File would use without waiting.
	if err := f.SetDeadline(time.Time{}); err != nil {
		f.Close()
		return nil, bare(err)
	}
	return f, nil
}

// private is a description of our own. os.File is safe against reuse of the
// number, and its Close waits until no call has it any more.
type private struct{ f *os.File }

func (f private) read(p []byte) (int, error)  { return f.f.Read(p) }
func (f private) write(p []byte) (int, error) { return f.f.Write(p) }
func (f private) close()                      { f.f.Close() }

// polled is a passed descriptor that has no description of our own. Go's poller
// must not have it (it takes only what is non-blocking), but it may have an
// epoll instance, which is ready to be read when fd is ready for what it was
// put in for.
type polled struct {
	*held
	epoll  *os.File
	ready  syscall.RawConn
	socket bool
	events int16
	blind  *blind // set when the kernel has no call for fd that never waits
}

func newPolled(fd, mode int, socket bool) (port, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	events := unix.EpollEvent{Events: unix.EPOLLIN}
	p := &polled{held: hold(fd), socket: socket, events: unix.POLLIN}
	if mode == unix.O_WRONLY {
		events.Events, p.events = unix.EPOLLOUT, unix.POLLOUT
	}
	if err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &events); err == nil {
		err = unix.SetNonblock(epfd, true)
	}
	if err != nil {
		unix.Close(epfd)
		if err == unix.EPERM { // a file, or a device that never waits
			return plain{p.held}, nil
		}
		unix.Close(fd)
		return nil, err
	}
	if p.epoll, err = pollable(epfd); err == nil {
		p.ready, err = p.epoll.SyscallConn()
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return p, nil
}

// until has try called now and whenever fd may have become ready, until it has
// something other than EAGAIN to say. The poller holds the epoll instance
// meanwhile, and its Close waits for that; so try needs no turn of held.
//
// The poller is told of changes only. None is lost: it forgets the old ones
// before the first try, and what a try did not find comes as a change.
func (p *polled) until(try func() (int, error)) (n int, err error) {
	waitErr := p.ready.Read(func(uintptr) bool {
		n, err = retry(try)
		return err != unix.EAGAIN
	})
	if waitErr == nil {
		return n, err
	}
	select {
	case <-p.gone:
		return 0, os.ErrClosed
	default:
		return 0, waitErr
	}
}

func (p *polled) read(b []byte) (int, error) {
	if p.blind != nil {
		return p.blind.read(b)
	}
	n, err := p.until(func() (int, error) {
		if p.socket {
			n, _, err := unix.Recvfrom(p.fd, b, unix.MSG_DONTWAIT)
			return n, err
		}
		return unix.Preadv2(p.fd, [][]byte{b}, -1, unix.RWF_NOWAIT)
	})
	if p.turnBlind(err) {
		return p.blind.read(b)
	}
	return n, err
}

func (p *polled) write(b []byte) (int, error) {
	if p.blind != nil {
		return p.blind.write(b)
	}
	n, err := all(b, func(b []byte) (int, error) {
		return p.until(func() (int, error) {
			if p.socket {
				return unix.SendmsgN(p.fd, b, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			}
			return unix.Pwritev2(p.fd, [][]byte{b}, -1, unix.RWF_NOWAIT)
		})
	})
	if p.turnBlind(err) {
		more, err := p.blind.write(b[n:])
		return n + more, err
	}
	return n, err
}

// turnBlind reports whether err says that the kernel cannot be asked not to
// wait on fd: FIFOs and terminals, pipes before Linux 6.4, everything before
// 4.14. Where err has another cause, the call that might wait finds it, too.
func (p *polled) turnBlind(err error) bool {
	if p.socket || err != unix.EOPNOTSUPP && err != unix.ENOSYS && err != unix.EINVAL {
		return false
	}
	p.blind = &blind{held: p.held, wait: p.wait}
	return true
}

// wait returns when fd is ready.
func (p *polled) wait() error {
	_, err := p.until(func() (int, error) {
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: p.events}}
		n, err := unix.Poll(fds, 0)
		if n == 0 && err == nil {
			err = unix.EAGAIN
		}
		return n, err
	})
	return err
}

// Closing the epoll instance wakes who waits for it and waits for who uses fd.
func (p *polled) close() { p.held.close(func() { p.epoll.Close() }) }
