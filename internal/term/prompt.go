package term

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Why an attempt to ask ended without an answer, and is repeated.
var (
	errSuspend   = errors.New("suspended at the prompt")
	errContinued = errors.New("continued at the prompt")
)

// prompt is one question on the controlling terminal.
type prompt struct {
	q    Question
	fd   int   // our own opening of /dev/tty, so O_NONBLOCK on it is nobody else's
	susp uint8 // the person's ^Z, charDisabled without one
	line line
}

// askTerminal asks until there is an answer or a reason to give up.
func askTerminal(ctx context.Context, q Question) ([]byte, error) {
	fd, err := openTerminal()
	if err != nil {
		return nil, fmt.Errorf("%w (/dev/tty: %w)", ErrNoTerminal, err)
	}
	defer unix.Close(fd)
	for {
		p := &prompt{q: q, fd: fd}
		answer, err := p.ask(ctx)
		var killed signalError
		switch {
		case err == nil:
			return answer, nil
		case errors.Is(err, errSuspend):
			stop(unix.SIGTSTP)
		case errors.Is(err, errContinued):
		case errors.As(err, &killed):
			return nil, killed.raise()
		default:
			return nil, err
		}
	}
}

func openTerminal() (fd int, err error) {
	for {
		fd, err = unix.Open("/dev/tty", unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func (p *prompt) ask(ctx context.Context) ([]byte, error) {
	if p.q.Hint == HintNotice {
		return nil, p.notice(ctx)
	}
	return p.attempt(ctx)
}

// notice shows a line that needs no answer, and leaves the terminal alone.
func (p *prompt) notice(ctx context.Context) error {
	w, err := startWatch(ctx)
	if err != nil {
		return err
	}
	defer w.stop()
	if err := p.write("\r"+p.q.Prompt+"\r\n", w); err != nil {
		return err
	}
	<-w.ended
	return w.why
}

// attempt asks once. Signals are caught before the modes change, so that none
// ends the program in between with the echo off; and SIGCONT after it, since
// changing them is where a process in the background is stopped and continued.
func (p *prompt) attempt(ctx context.Context) (answer []byte, err error) {
	w, err := startWatch(ctx)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	saved, err := p.begin()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.line.wipe()
			answer = nil
		}
		err = p.end(saved, err)
	}()
	w.continued()
	if err := p.write("\r"+p.q.Above+p.q.Prompt, w); err != nil {
		return nil, err
	}
	return p.read(w)
}

// begin sets the modes and drops what was typed before: it was shown, and does
// not answer a question that nobody had read.
func (p *prompt) begin() (*unix.Termios, error) {
	comeForward(p.fd)
	saved, err := unix.IoctlGetTermios(p.fd, getTermios)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoTerminal, err)
	}
	p.susp = saved.Cc[unix.VSUSP]
	t := *saved
	p.setUp(&t)
	if err := setModes(p.fd, &t); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoTerminal, err)
	}
	_ = flushInput(p.fd)
	return saved, nil
}

// setUp makes the terminal one that reads lines, whatever it was, so that a
// question in the middle of a raw session works.
//
// ^Z must not stop us here, with the echo off, and SIGTSTP cannot be caught
// (see the package comment). So the key is taken from the kernel and made a
// second end of line, and read as a byte.
func (p *prompt) setUp(t *unix.Termios) {
	t.Iflag |= unix.ICRNL
	t.Iflag &^= unix.INLCR | unix.IGNCR
	t.Oflag |= unix.OPOST | unix.ONLCR
	t.Lflag |= unix.ICANON | unix.ISIG
	t.Lflag &^= unix.ECHO | unix.ECHONL
	if p.q.Echo {
		t.Lflag |= unix.ECHO
	}
	t.Cc[unix.VSUSP], t.Cc[unix.VEOL] = charDisabled, p.susp
	if charDSusp >= 0 {
		t.Cc[max(charDSusp, 0)] = charDisabled
	}
}

// end restores the terminal. What was typed of a secret that is not wanted any
// more must not go to a shell, which would show and run it.
func (p *prompt) end(saved *unix.Termios, err error) error {
	if err != nil && !p.q.Echo {
		_ = flushInput(p.fd)
	}
	// The newline that was not echoed, while the modes are still known. Only
	// where it cannot stop us (TOSTOP); the descriptor sees to it that it
	// cannot wait.
	if (err != nil || !p.q.Echo) && !errors.Is(err, errContinued) && !inBackground(p.fd) {
		_, _ = unix.Write(p.fd, []byte("\n"))
	}
	if rerr := giveBack(p.fd, saved); rerr != nil && err == nil {
		p.line.wipe()
		return fmt.Errorf("cannot restore the terminal (stty sane does): %w", rerr)
	}
	return err
}

// read takes the line byte by byte: not one behind its end, which may be the
// next program's.
func (p *prompt) read(w *watch) ([]byte, error) {
	var one [1]byte
	defer clear(one[:])
	for !p.line.done {
		if err := w.await(p.fd, false); err != nil {
			return nil, err
		}
		n, err := unix.Read(p.fd, one[:])
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			// Another process was faster, or the line was taken back by ^U.
		case err != nil:
			return nil, fmt.Errorf("%w: the terminal is gone: %w", ErrNoTerminal, os.NewSyscallError("read", err))
		case n == 0 && len(p.line.buf) == 0:
			return nil, ErrDeclined
		case n == 0:
			p.line.done = true
		case one[0] == p.susp && p.susp != charDisabled:
			return nil, errSuspend
		default:
			p.line.add(one[0])
		}
	}
	return p.line.take()
}

func (p *prompt) write(s string, w *watch) error {
	for b := []byte(s); len(b) > 0; {
		n, err := unix.Write(p.fd, b)
		switch err {
		case nil:
			b = b[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			// Behind a ^S, where the person can still press ^C.
			if err := w.await(p.fd, true); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: the terminal is gone: %w", ErrNoTerminal, os.NewSyscallError("write", err))
		}
	}
	return nil
}
