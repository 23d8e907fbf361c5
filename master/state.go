package master

// State is where a host stands. One goroutine, host.run, changes it.
//
//	idle ──wanted──► connecting ──a link is up──► ready ◄──byte seen, or replaced── suspect ◄──silence── ready
//	  ▲                ▲  │  └──login refused, host key, a person needed──► blocked
//	  │                │  └──the network──► waiting                           │
//	nobody wants it    ├──── timer, wake, new network, new request ─┘         │
//	any more           └──── any request, or the cause changed ───────────────┘      any ──stop──► closed
//
// Wanted is what a client waits for, what is pinned, and what was used within
// ControlPersist.
type State uint8

// The states of a host.
const (
	Idle       State = iota // no connection, and nobody wants one
	Connecting              // a dial is under way
	Ready                   // there is a link for new work
	Suspect                 // there are links, and none of them answers
	Waiting                 // wanted, and a timer decides when to dial again
	Blocked                 // the last dial failed by something only a person can mend: no timer dials
	Closed                  // muxd is ending
)

func (s State) String() string {
	return [...]string{"idle", "connecting", "ready", "suspect", "waiting", "blocked", "closed"}[s]
}
