// Package master keeps the SSH connection to each destination and opens
// sessions on it. It implements control.Backend and knows no wire between
// clients and muxd. What a command line asks for, and where that leads, package
// dest decides.
//
// Two lifetimes are two types. A host lives for as long as somebody wants the
// destination; a link is one SSH connection and is never revived. What goes on
// inside a link is sshlink's; here is which request gets which link, and when
// there is another. A host has a set of links: the one in service, further ones
// where the server takes no more sessions on it, those for transfers, so that
// shells stay quick beside them, and those that carry the sessions they have to
// their end. A jump host is a host like any other, held by a lease of whatever
// goes through it.
//
//	Master ──► host (one per destination) ──► link (one live SSH connection) ──► session
//	              │ one goroutine decides        sshlink.Link, which asks
//	              │ everything (host.run)        alive.Prober
//
// What is true for every request: fifty first commands at once make one login
// and share its error; a prompt goes to the terminal of whoever asked; what
// provably did not start is tried once more on a new connection, and what may
// have started never is.
//
// The goroutines, and who may write what:
//
//	host.run        one per destination   the host's state, its links, its waiters
//	dial            at most one per host  nothing; posts its result to run
//	host.lookForCause at most one per host nothing; posts what it saw to run
//	hold.run        one per client of -N  its own lease
//
// Those of a link are listed in sshlink.
//
// The package refuses to rerun a command, to ask a person in the background,
// and to read a lost connection as a command's end: the SSH library reports
// both as a plain end of the stream, and only an exit status is an exit.
package master
