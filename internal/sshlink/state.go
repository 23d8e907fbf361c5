package sshlink

// State is where one connection stands. It never goes back from dead, and a
// link is never revived: the next one is a new link.
//
//	ready ◄──byte seen── suspect ──budget spent──► dead       ready, suspect ──replaced──► draining ──last session──► dead
type State uint8

// The states of a link.
const (
	Ready    State = iota
	Suspect        // a probe met silence: no new work until a byte is seen
	Draining       // another link serves new work
	Dead
)

func (s State) String() string {
	return [...]string{"ready", "suspect", "draining", "dead"}[s]
}
