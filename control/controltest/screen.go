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
	// OnStdout is called before the bytes are recorded; its error is returned.
	OnStdout func(b []byte) error
	// OnOpened is called when the session is open.
	OnOpened func(p *control.Plan)

	mu       sync.Mutex
	out, err bytes.Buffer // guarded by mu
	notices  []string     // guarded by mu
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
