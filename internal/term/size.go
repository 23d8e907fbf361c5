package term

import "golang.org/x/sys/unix"

// Window is a terminal's size, in characters and in pixels; what the terminal
// does not tell is 0 (RFC 4254 section 6.2).
type Window struct{ Cols, Rows, XPixels, YPixels uint32 }

// IsTerminal reports whether fd is a terminal.
func IsTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, getTermios)
	return err == nil
}

// Size asks the terminal fd for its size. The error is the kernel's, ENOTTY for
// what is no terminal.
func Size(fd int) (Window, error) {
	w, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil {
		return Window{}, err
	}
	return Window{uint32(w.Col), uint32(w.Row), uint32(w.Xpixel), uint32(w.Ypixel)}, nil
}
