package learned

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// save plans a write within d. One that is planned for sooner stays as it is.
// The caller holds mu.
func (s *Store) save(d time.Duration) {
	s.dirty = true
	if s.path == "" || s.closed {
		return
	}
	due := time.Now().Add(d)
	switch {
	case s.timer == nil:
		s.timer = time.AfterFunc(d, func() { _ = s.write() }) // it was logged
	case due.Before(s.due):
		s.timer.Reset(d)
	default:
		return
	}
	s.due = due
}

// Close writes what is not written and returns why it could not. What is set
// later is known to this Store only.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.write()
}

// write puts memory into the file if the two differ. A write that fails costs
// one line, until one succeeds; the next lesson tries again, and so does Close.
func (s *Store) write() error {
	s.disk.Lock()
	defer s.disk.Unlock()

	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop() // it fired, or Close came before it
		s.timer = nil
	}
	if !s.dirty || s.path == "" {
		s.mu.Unlock()
		return nil
	}
	s.dirty = false
	f := s.content() // a copy: nobody waits for the disk
	s.mu.Unlock()

	err := replace(s.path, f)
	if err != nil {
		s.mu.Lock()
		s.dirty = true
		s.mu.Unlock()
		if !s.failed {
			s.warn("what was learned cannot be written and is kept in memory", "file", s.path, "err", err)
		}
	}
	s.failed = err != nil
	return err
}

// replace writes the file beside its place and renames it. It does not sync:
// a machine that crashes in the next half minute may leave an empty file, which
// is read as one that is damaged, and to wake a disk for each lesson would cost
// more than learning it again.
func replace(path string, f file) (err error) {
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// Nobody shares the path, so one name does, and a crash leaves one file at
	// most. It is removed and made anew: whatever lies there is not written to.
	tmp := path + ".new"
	_ = os.Remove(tmp)
	w, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp)
		}
	}()
	_, err = w.Write(append(b, '\n'))
	if e := w.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
