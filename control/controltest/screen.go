package controltest

import (
	"bytes"
	"sync"

	"muxd/control"
)

// Screen is a control.Handler that records, and the Person in front of it. Set
// its functions before it is used.
type Screen struct {
	Person

	// OnStdout is called before the bytes are recorded; its error is returned.
	OnStdout func(b []byte) error
	// OnOpened is called when the session is open.
	OnOpened func(p *control.Plan)

	mu       sync.Mutex
	out, err bytes.Buffer // guarded by mu
	eof      bool         // guarded by mu; of stdout, while stdin goes on
}

// Opened implements control.Handler.
func (s *Screen) Opened(p *control.Plan) {
	if s.OnOpened != nil {
		s.OnOpened(p)
	}
}

// Stdout implements control.Handler.
func (s *Screen) Stdout(b []byte) error {
	if s.OnStdout != nil {
		if err := s.OnStdout(b); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.Write(b)
	return nil
}

// Stderr implements control.Handler.
func (s *Screen) Stderr(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err.Write(b)
	return nil
}

// StdoutEOF implements control.Handler.
func (s *Screen) StdoutEOF() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.eof = true
}

// Ended reports that stdout ended while stdin went on.
func (s *Screen) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.eof
}

// Shown returns what was written so far.
func (s *Screen) Shown() (out, err string, notices []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String(), s.err.String(), s.Notices()
}
