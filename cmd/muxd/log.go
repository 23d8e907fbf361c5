package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/adrg/xdg"
	"golang.org/x/sys/unix"
)

// maxLog is the size at which the log becomes muxd.log.1 at the next start:
// a day of a busy laptop is some hundred kilobytes.
const maxLog = 4 << 20

// openLog returns the daemon's log, in the user's state directory. A directory
// that cannot be written is no reason not to serve: then there is no log, and
// the path is empty. A daemon whose stderr nobody sees puts that into the log
// too: what Go says of a panic, of a signal such as SIGABRT, or of a data race,
// and what a NotifyCommand says.
func openLog(unseen bool) (*slog.Logger, string) {
	path := filepath.Join(xdg.StateHome, "muxd", "muxd.log")
	w := logFile(path)
	if unseen && w != nil {
		unix.Dup2(int(w.Fd()), 2)
		w = os.Stderr
	}
	if w == nil {
		return slog.New(slog.NewTextHandler(io.Discard, nil)), ""
	}
	level := slog.LevelInfo
	if os.Getenv("MUXD_DEBUG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})).With("pid", os.Getpid()), path
}

// learnedPath is where the daemon keeps what it learned.
func learnedPath() string { return filepath.Join(xdg.StateHome, "muxd", "learned.json") }

func logFile(path string) *os.File {
	if os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return nil
	}
	if st, err := os.Stat(path); err == nil && st.Size() > maxLog {
		os.Rename(path, path+".1")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil
	}
	return f
}
