// Package sshlink is one live SSH connection and what is open on it: sessions,
// connections through it, and what it lends to the server. A Link is never
// revived: the next connection is another Link.
//
// It holds the rules that the SSH library leaves to its user. No call of the
// library's that may wait for ever is waited for: opens run in goroutines of
// their own, and the end of a Link is the end of its net.Conn, which frees
// everything at once. Whatever the server opens or asks is answered or refused
// without waiting. A connection that was lost reads as a plain end, so that only
// an exit status is a command's end; and of what did not end well it is said
// whether it may have run.
//
// Which request gets which Link, how many there are and when the next one is
// dialled is not decided here. The Owner is told what happens on a Link, and a
// User is a request that lives on one.
//
// The goroutines, and who may write what:
//
//	watch            one per link          the Prober; closes the connection on its verdict
//	probe            at most one per link  the round trip time
//	channels,
//	requests         one per link          answers of the server's own opens and requests; its end (reap)
//	hostKeys         at most one per link  the user's known_hosts (UpdateHostKeys, in hostkey)
//	wire.Conn.flush  at most one per link  the connection's coalesced writes; only while there are some
//	Session.requests one per session       its exit
//	spare.run        one per spare         nothing; becomes Session.requests
//	Session.sender   at most one a session nothing; does what must not block a client's reader
//	lend             one per channel       nothing; copies to an agent or a display, at most maxLent at a time
//	newHopConn       one per hop           nothing; reads the channel that a connection to another host runs on
//	reject           one per refusal       nothing; at most mostRejecting that the server does not take
//
// The package refuses to rerun a command, and to open or lend anything by itself:
// what is opened ahead of use (spares) starts nothing.
package sshlink
