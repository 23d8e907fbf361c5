package main

import (
	"log/slog"
	"os"
	"os/user"
	"path/filepath"

	"github.com/adrg/xdg"
	"golang.org/x/sys/unix"
)

// maxLog is the size at which the log becomes muxd.log.1 and another begins: a
// day of a busy laptop is some hundred kilobytes.
const maxLog = 4 << 20

// openLog returns the daemon's log, in the user's state directory. A directory
// that cannot be written is no reason not to serve: then there is no log until it
// can, and the path is empty. A daemon whose stderr nobody sees puts that into the log
// too: what Go says of a panic, of a signal such as SIGABRT, or of a data race,
// and what a NotifyCommand says.
func openLog(unseen bool) (*slog.Logger, string) {
	l := &logFile{path: filepath.Join(xdg.StateHome, "muxd", "muxd.log"), stderr: unseen}
	path := l.path
	if l.open() != nil {
		path = ""
	}
	level := slog.LevelInfo
	if os.Getenv("MUXD_DEBUG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level})).With("pid", os.Getpid()), path
}

// findHome sets HOME where a service manager or env -i started muxd without one, or it
// is no full path. The log and what was learned would go below / then, or into the
// directory that somebody stood in; and what muxd runs wants it too.
func findHome() {
	if filepath.IsAbs(os.Getenv("HOME")) {
		return
	}
	if u, err := user.Current(); err == nil {
		os.Setenv("HOME", u.HomeDir)
		xdg.Reload()
	}
}

// learnedPath is where the daemon keeps what it learned.
func learnedPath() string { return filepath.Join(xdg.StateHome, "muxd", "learned.json") }

// logFile is a log that begins anew when it has become long. Its methods are
// called by one goroutine at a time; slog's handler sees to that.
type logFile struct {
	path   string
	stderr bool     // it is this process's stderr too
	f      *os.File // nil where it could not be opened yet
	size   int64    // of the file, as far as it is ours
}

// open opens the file, and moves one that is too long out of its way. The file
// that was open stays where this fails.
func (l *logFile) open() error {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return err
	}
	if st, err := os.Stat(l.path); err == nil && st.Size() > maxLog {
		os.Rename(l.path, l.path+".1")
	}
	l.size = 0
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if st, err := f.Stat(); err == nil {
		l.size = st.Size()
	}
	if l.f != nil {
		l.f.Close()
	}
	if l.f = f; l.stderr {
		return unix.Dup2(int(f.Fd()), 2)
	}
	return nil
}

// Write implements io.Writer. What comes before there is room for a file is lost.
func (l *logFile) Write(b []byte) (int, error) {
	if l.f == nil || l.size > maxLog {
		l.open()
	}
	if l.f == nil {
		return len(b), nil
	}
	n, err := l.f.Write(b)
	l.size += int64(n)
	return n, err
}
