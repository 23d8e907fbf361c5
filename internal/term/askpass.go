package term

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// askpassPlaces are where ssh-askpass is on Debian, on macOS with XQuartz and
// where OpenSSH expects it. ssh knows the one it was built with.
var askpassPlaces = [...]string{"/usr/bin/ssh-askpass", "/opt/X11/bin/ssh-askpass", "/usr/X11R6/bin/ssh-askpass"}

// AskpassError is the ErrInterrupted of an SSH_ASKPASS program that ended
// without success: the person cancelled its dialog, or it could show none.
type AskpassError struct {
	How string // "exit status 1", "signal: terminated"
}

// Error names the program and how it ended.
func (e *AskpassError) Error() string { return "SSH_ASKPASS gave no answer (" + e.How + ")" }

// Is makes it ErrInterrupted.
func (e *AskpassError) Is(target error) bool { return target == ErrInterrupted }

// A ProgramError is the ErrNoTerminal of an SSH_ASKPASS that is set and may be
// used, and cannot be run. It is worth a line of its own: nobody sees otherwise
// why nobody was asked.
type ProgramError struct {
	Name string // the value of SSH_ASKPASS
	Err  error
}

// Error names the program and the cause.
func (e *ProgramError) Error() string {
	return fmt.Sprintf("cannot run SSH_ASKPASS %q: %v", e.Name, e.Err)
}

// Is makes it ErrNoTerminal.
func (e *ProgramError) Is(target error) bool { return target == ErrNoTerminal }

// askProgram runs the person's SSH_ASKPASS with the question as its argument
// and takes the first line that it prints. That it fails means that the person
// cancelled it.
func askProgram(ctx context.Context, q Question) ([]byte, error) {
	path, err := askpassPath()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot ask by %q: %w", path, err)
	}
	defer r.Close()
	p, err := startAskpass(path, q, w)
	w.Close()
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err // the path is named
		}
		return nil, &ProgramError{path, err}
	}
	// Closing the pipe, too: something that the program left running may hold
	// the other end for ever.
	stop := context.AfterFunc(ctx, func() {
		_ = p.Signal(unix.SIGTERM)
		r.Close()
	})
	defer stop()
	answer, err := firstLine(r)
	if werr := waitAskpass(ctx, p); werr != nil {
		err = werr
	}
	if err != nil {
		clear(answer)
		return nil, err
	}
	return answer, nil
}

// waitAskpass waits for the program, but not for one that takes no notice of
// being asked to end: that is reaped when it does.
func waitAskpass(ctx context.Context, p *os.Process) error {
	ended := make(chan error, 1)
	go func() {
		state, err := p.Wait()
		if err == nil && !state.Success() {
			err = &AskpassError{How: state.String()}
		}
		ended <- err
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-ended:
		// It may have ended because ctx did.
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
}

// startAskpass gives the program no stdin: ours is the session's, and it may
// hold what the remote command is to read.
func startAskpass(path string, q Question, stdout *os.File) (*os.Process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	env := os.Environ()
	if q.Hint != HintNone {
		env = append(env, "SSH_ASKPASS_PROMPT="+string(q.Hint))
	}
	return os.StartProcess(path, []string{path, q.Prompt},
		&os.ProcAttr{Env: env, Files: []*os.File{null, stdout, os.Stderr}})
}

// askpassPath finds the program in PATH as execlp does, except that it is never
// taken from the current directory: that may be somebody else's.
func askpassPath() (string, error) {
	name := os.Getenv("SSH_ASKPASS")
	candidates := askpassPlaces[:]
	switch {
	case strings.Contains(name, "/"):
		return name, nil
	case name != "":
		candidates = nil
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			if filepath.IsAbs(dir) {
				candidates = append(candidates, filepath.Join(dir, name))
			}
		}
	}
	for _, path := range candidates {
		if unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	if name == "" {
		return "", fmt.Errorf("%w (SSH_ASKPASS is not set)", ErrNoTerminal)
	}
	return "", &ProgramError{name, errors.New("it is not in PATH")}
}

// firstLine reads to the end and keeps the first line. It reads on behind it,
// so that the program is not killed by SIGPIPE while it says goodbye.
func firstLine(r io.Reader) ([]byte, error) {
	var l line
	var scratch [256]byte
	defer clear(scratch[:])
	for {
		n, err := r.Read(scratch[:])
		for _, c := range scratch[:n] {
			l.add(c)
		}
		if errors.Is(err, io.EOF) {
			return l.take()
		}
		if err != nil {
			l.wipe()
			return nil, err
		}
	}
}
