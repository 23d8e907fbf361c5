package sshtest

import "slices"

// Command returns how the session was started, "exec", "shell" or
// "subsystem" ("" if not yet), and the command or the subsystem's name.
func (s *Session) Command() (how, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.how, s.command
}

// Env returns the accepted variables as NAME=VALUE in the order of arrival.
func (s *Session) Env() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.env)
}

// PTY returns the terminal asked for, nil if none, with its latest size.
func (s *Session) PTY() *PTY {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pty == nil {
		return nil
	}
	p := *s.pty
	if n := len(s.windows); n > 0 {
		p.Window = s.windows[n-1]
	}
	return &p
}

// Windows returns the sizes of the window-change requests.
func (s *Session) Windows() []Window {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.windows)
}

// Signals returns the signals received, without "SIG".
func (s *Session) Signals() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

// WantsAgent says whether agent forwarding was asked for.
func (s *Session) WantsAgent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agent
}

// X11 returns what the session's latest x11-req asked for, nil if none.
func (s *Session) X11() *X11 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.x11
}
