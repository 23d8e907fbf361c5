// Package child runs what a configuration asks to be run as the user's own
// child: Match exec, KnownHostsCommand and LocalCommand. It exists because two
// programs do that for muxd, which must not do it itself: a daemon has neither
// the terminal nor the directory nor the environment that the answer depends
// on. Where the client is stock ssh, which runs nothing for anybody, muxd does it
// after all, with the environment of that client.
//
// It refuses to judge: what is run, and what its status means, is muxd's.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"muxd/control"
)

// grace is how long a command that is not wanted any more has to end by
// SIGTERM.
const grace = time.Second

// Run runs c in this process's directory and process group, with its
// environment, and waits for its end. When ctx ends it is told to end.
func Run(ctx context.Context, c control.Command) (control.Ran, error) {
	return run(ctx, c, &os.ProcAttr{})
}

// RunAs is Run with another process's environment, and in no directory.
func RunAs(ctx context.Context, c control.Command, env []string) (control.Ran, error) {
	return run(ctx, c, &os.ProcAttr{Dir: "/", Env: env})
}

func run(ctx context.Context, c control.Command, attr *os.ProcAttr) (control.Ran, error) {
	path, argv := arguments(c)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return control.Ran{}, err
	}
	defer null.Close()
	files := []*os.File{null, null, os.Stderr}
	var out *os.File
	switch c.Kind {
	case control.CommandLocal:
		files[0], files[1] = os.Stdin, os.Stdout
	case control.CommandOutput:
		r, w, err := os.Pipe()
		if err != nil {
			return control.Ran{}, err
		}
		defer r.Close()
		defer w.Close()
		files[1], out = w, r
	}
	attr.Files = files
	p, err := os.StartProcess(path, argv, attr)
	if err != nil {
		return control.Ran{}, fmt.Errorf("%s: %w", path, cause(err))
	}
	if out != nil {
		files[1].Close() // so that the child's end is the end
		// What the child started may have its output still, and go on.
		defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, func() { out.SetReadDeadline(time.Unix(1, 0)) }) })()
	}
	defer endWith(ctx, p)()
	return ended(p, out)
}

func arguments(c control.Command) (path string, argv []string) {
	if c.Kind == control.CommandOutput {
		return c.Args[0], c.Args
	}
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	return shell, []string{shell, "-c", c.Args[0]}
}

// endWith ends p when ctx does, until the function it returns is called.
func endWith(ctx context.Context, p *os.Process) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		p.Signal(syscall.SIGTERM)
		time.AfterFunc(grace, func() { p.Kill() })
	})
}

// ended reads out, if there is one, to its end and waits for p. A command that
// says too much is not read on, and is ended.
func ended(p *os.Process, out *os.File) (control.Ran, error) {
	var r control.Ran
	var err error
	if out != nil {
		r.Output, err = io.ReadAll(io.LimitReader(out, control.MaxCommandOutput+1))
		if len(r.Output) > control.MaxCommandOutput {
			r.Output, err = nil, fmt.Errorf("it says more than %d bytes", control.MaxCommandOutput)
			p.Kill()
		}
	}
	st, werr := p.Wait()
	if err = errors.Join(err, werr); err != nil {
		return control.Ran{}, err
	}
	ws := st.Sys().(syscall.WaitStatus)
	if r.Status = ws.ExitStatus(); ws.Signaled() {
		r.Status = 128 + int(ws.Signal())
	}
	return r, nil
}

// cause drops the call and the path of an error, which the line names anyway.
func cause(err error) error {
	err = Scarce(err)
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Scarce adds what helps to the error of a process that was not started because
// there may be no more of them; other errors are as they were.
func Scarce(err error) error {
	if errors.Is(err, syscall.EAGAIN) {
		return fmt.Errorf("%w: too many processes; end some, or raise the limit (ulimit -u, or a container's pids.max)", syscall.EAGAIN)
	}
	return err
}
