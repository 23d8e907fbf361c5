// Package launch finds the running muxd, or starts one: at most one is started
// however many clients want it at once, and it inherits nothing of theirs but
// the variables that say where things are.
//
// It exists for the two programs that may start it, and refuses to know what a
// muxd is asked.
package launch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"muxd/socket"
)

// startTimeout bounds the wait for a muxd that was just started. It takes a few
// milliseconds; a machine that swaps may take seconds.
const startTimeout = 15 * time.Second

// tries bounds how often a muxd that ended at once is started again.
const tries = 3

// logFile is muxd's log, for people.
const logFile = "muxd/muxd.log in $XDG_STATE_HOME or ~/.local/state"

// Attempts bounds how often a muxd that goes away before it takes a request is
// looked for again: once for one that just ends, once for its successor.
const Attempts = 3

// Connect finds the running muxd or starts one, unless the request only asks: then
// the error matches socket.ErrNoServer when none runs.
func Connect(asks bool) (*socket.Conn, error) {
	c, _, err := socket.DialAny(os.Getenv)
	if !errors.Is(err, socket.ErrNoServer) || asks {
		return c, err
	}
	place, err := socket.Choose(os.Getenv)
	if err != nil {
		return nil, err
	}
	unlock, err := socket.LockStart(place)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// Of many that found nobody, the first one starts it and the others find it
	// here, when the lock comes to them.
	if c, _, err = socket.DialAny(os.Getenv); !errors.Is(err, socket.ErrNoServer) {
		return c, err
	}
	// The one that is started may be gone again before this process comes to
	// connect: on a busy machine, or because it lost against a muxd that ended.
	for range tries {
		if err := start(); err != nil {
			return nil, fmt.Errorf("start muxd: %w", err)
		}
		if c, _, err = socket.DialAny(os.Getenv); !errors.Is(err, socket.ErrNoServer) {
			return c, err
		}
	}
	return nil, fmt.Errorf("start muxd: it ended at once, %d times (%s may say why)", tries, logFile)
}

// start runs muxd in a session of its own, with nothing of ours but a pipe on
// which it says that it listens, or why not.
func start() error {
	path, err := findDaemon()
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	p, err := os.StartProcess(path, []string{"muxd"}, &os.ProcAttr{
		Dir:   "/",
		Env:   append(daemonEnv(os.Environ()), "MUXD_READY_FD=3"),
		Files: []*os.File{null, null, null, w},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	w.Close()
	if err != nil {
		return err
	}
	p.Release()
	r.SetReadDeadline(time.Now().Add(startTimeout))
	said, err := io.ReadAll(r)
	switch text := string(said); {
	case text == "ok":
		return nil
	case text != "":
		return errors.New(text)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s did not become ready within %v", path, startTimeout)
	}
	return fmt.Errorf("%s ended before it was ready (%s may say why)", path, logFile)
}

// findDaemon looks beside this program first, so that the two are of one
// version, then in PATH.
func findDaemon() (string, error) {
	var tried []string
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		tried = append(tried, filepath.Join(filepath.Dir(self), "muxd"))
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(dir) { // "." in PATH must not decide what runs
			tried = append(tried, filepath.Join(dir, "muxd"))
		}
	}
	for _, path := range tried {
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", errors.New("no program muxd beside muxc or in PATH")
}

// passed are the variables that muxd is started with, those that it keeps among
// them. What belongs to this request travels with the request, and anything
// else would show in the environment of a process that lives for days.
var passed = []string{"HOME", "USER", "LOGNAME", "PATH", "SHELL", "LANG", "TZ", "TMPDIR", "TMP"}

func daemonEnv(env []string) []string {
	kept := make([]string, 0, len(env))
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if slices.Contains(passed, name) || strings.HasPrefix(name, "LC_") ||
			strings.HasPrefix(name, "XDG_") || strings.HasPrefix(name, "MUXD_") {
			kept = append(kept, kv)
		}
	}
	return kept
}
