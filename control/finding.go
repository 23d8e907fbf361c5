package control

import "strings"

// Finding is something that muxd doctor says.
type Finding struct {
	Level FindingLevel
	Text  string // what is the case, in one line
	Cure  string // what would change it; "" where nothing need be
}

// FindingLevel says how much a Finding matters.
type FindingLevel string

// The levels. A FindingFact is neither good nor bad.
const (
	FindingFact    FindingLevel = ""
	FindingNote    FindingLevel = "note"    // could be better
	FindingProblem FindingLevel = "problem" // something does not work
)

// String is the form in which findings travel, a line for each: level, text and
// cure with tabs between them, all control characters taken out.
func (f Finding) String() string {
	clean := func(s string) string { return strings.ReplaceAll(CleanLine(s), "\t", " ") }
	return string(f.Level) + "\t" + clean(f.Text) + "\t" + clean(f.Cure)
}

// ParseFindings reads lines as String makes them. A line of another form is a
// fact.
func ParseFindings(text string) []Finding {
	var all []Finding
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		f := Finding{Text: line}
		if parts := strings.Split(line, "\t"); len(parts) == 3 {
			f = Finding{Level: FindingLevel(parts[0]), Text: parts[1], Cure: parts[2]}
		}
		if f.Text != "" {
			all = append(all, f)
		}
	}
	return all
}
