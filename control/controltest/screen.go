package controltest

import (
	"bytes"
	"context"
	"sync"

	"muxd/control"
)

// Screen is a control.Handler that records. Set its functions before it is
// used.
type Screen struct {
	// OnPrompt answers; unset means that nobody is there.
	OnPrompt func(ctx context.Context, q control.Prompt) (control.Answer, error)
	// OnRun runs a command; unset means that nobody is there.
	OnRun func(ctx context.Context, c control.Command) (control.Ran, error)
	// OnStdout is called before the bytes are recorded; its error is returned.
	OnStdout func(b []byte) error
	// OnOpened is called when the session is open.
	OnOpened func(p *control.Plan)

	mu       sync.Mutex
	out, err bytes.Buffer // guarded by mu
	notices  []string     // guarded by mu
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

// Prompt implements control.Prompter.
func (s *Screen) Prompt(ctx context.Context, q control.Prompt) (control.Answer, error) {
	if s.OnPrompt == nil {
		return control.Answer{}, control.ErrNobody
	}
	return s.OnPrompt(ctx, q)
}

// Run implements control.Prompter.
func (s *Screen) Run(ctx context.Context, c control.Command) (control.Ran, error) {
	if s.OnRun == nil {
		return control.Ran{}, control.ErrNobody
	}
	return s.OnRun(ctx, c)
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

// Notice implements control.Prompter.
func (s *Screen) Notice(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notices = append(s.notices, text)
}

// Shown returns what was written so far.
func (s *Screen) Shown() (out, err string, notices []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String(), s.err.String(), append([]string(nil), s.notices...)
}

// Waiting implements control.Prompter.
func (s *Screen) Waiting(control.Waiting) {}

// Impatient implements control.Prompter.
func (s *Screen) Impatient() <-chan struct{} { return nil }
