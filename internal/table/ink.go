package table

import "charm.land/lipgloss/v2"

// Ink is the meaning of a text, which a colour shows beside the words.
type Ink uint8

// The inks.
const (
	Plain  Ink = iota
	Good       // all is well
	Busy       // something is under way
	Bad        // a person must do something
	Faint      // not of importance
	Strong     // where the eye is to go
)

// styles use the sixteen colours of the terminal, which its owner chose to be
// readable on its background.
var styles = [...]lipgloss.Style{
	Plain:  lipgloss.NewStyle(),
	Good:   lipgloss.NewStyle().Foreground(lipgloss.Green),
	Busy:   lipgloss.NewStyle().Foreground(lipgloss.Yellow),
	Bad:    lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true),
	Faint:  lipgloss.NewStyle().Faint(true),
	Strong: lipgloss.NewStyle().Bold(true),
}

// Paint colours a text that has been cleaned.
func (k Ink) Paint(text string, colour bool) string {
	if !colour || k == Plain || text == "" {
		return text
	}
	return styles[k].Render(text)
}

// Unless is k, or Plain where that is the ink of what needs no attention.
func (k Ink) Unless(calm Ink) Ink {
	if k == calm {
		return Plain
	}
	return k
}

// OfState is the ink of the state of a host, a connection or a forward.
func OfState(state string) Ink {
	switch state {
	case "ready", "active":
		return Good
	case "connecting", "suspect", "waiting", "draining", "opening":
		return Busy
	case "blocked", "degraded", "dead":
		return Bad
	}
	return Faint
}

// Colours reports whether an environment wants colours at a terminal
// (https://no-color.org; TERM of a terminal that knows no escapes).
func Colours(getenv func(string) string) bool {
	name := getenv("TERM")
	return getenv("NO_COLOR") == "" && name != "" && name != "dumb"
}
