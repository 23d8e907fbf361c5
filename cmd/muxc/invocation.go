package main

import (
	"os"

	"muxd/control"
	"muxd/internal/term"
)

// invocation gathers what muxd needs to know of this run.
func invocation(u *ui, args []string) *control.Invocation {
	v := &control.Invocation{Args: args, Env: os.Environ()}
	v.Dir, _ = os.Getwd() // a directory that is gone matters only to relative paths
	for fd := range v.TTY {
		v.TTY[fd] = term.IsTerminal(fd)
	}
	u.tty = v.TTY
	u.wait.allowed = u.tty[2] && !u.quiet && u.log == nil
	if v.TTY[0] {
		v.Modes, _ = term.Modes(0)
		v.Size = size()
		u.size = v.Size
	}
	return v
}

// size is that of the terminal on stdin, zero if it is none.
func size() control.Window {
	w, err := term.Size(0)
	if err != nil {
		return control.Window{}
	}
	return control.Window{Cols: w.Cols, Rows: w.Rows, Width: w.XPixels, Height: w.YPixels}
}
