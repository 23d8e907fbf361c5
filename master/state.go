package master

// State is where a host stands. One goroutine, host.run, changes it.
//
//	idle ──wanted──► connecting ──a link is up──► ready ──last link died, or idle for ControlPersist──► idle
//	                   ▲     └──login refused, host key, a person needed──► blocked ─┐
//	                   └────────────── any request makes one attempt ────────────────┘      any ──stop──► closed
//
// waiting (a timer will try again) is part of the picture for what is wanted
// without a request, such as a forward; a request that fails ends with its
// error instead.
type State uint8

// The states of a host.
const (
	Idle       State = iota // no connection, and nobody wants one
	Connecting              // a dial is under way
	Ready                   // there is a link for new work
	Waiting                 // wanted, and a timer decides when to dial again
	Blocked                 // the last dial failed by something only a person can mend: no timer dials
	Closed                  // muxd is ending
)

func (s State) String() string {
	return [...]string{"idle", "connecting", "ready", "waiting", "blocked", "closed"}[s]
}

// linkState is where one connection stands. It never goes back from dead, and a
// link is never revived: the next one is a new link.
//
//	ready ◄──byte seen── suspect ──budget spent──► dead       ready, suspect ──replaced──► draining ──last session──► dead
type linkState uint8

const (
	linkReady    linkState = iota
	linkSuspect            // a probe met silence: no new work until a byte is seen
	linkDraining           // another link serves new work
	linkDead
)

func (s linkState) String() string {
	return [...]string{"ready", "suspect", "draining", "dead"}[s]
}
