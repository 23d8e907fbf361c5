// Package hostkey decides whether a server is the one that the person means, as
// ssh does: by known_hosts, KnownHostsCommand, RevokedHostKeys, the address
// (CheckHostIP), the key of the last login and StrictHostKeyChecking, and by
// asking where that says so. Afterwards it learns the server's further keys
// (UpdateHostKeys), against a proof for each.
//
//	Server ──New──► Check ──Order──► handshake ──Callback──► accepted, or *Refused
//	                                    │ rekey                   │
//	                                    └─► the same key only     └─Updates──► Update.Learn
//
// knownhosts knows what stands in the files and decides nothing; this package
// decides, in ssh's words, and knows neither connections nor when to dial. It
// refuses to read a lack of an answer as a yes: a question that nobody answers,
// a command that fails and a list that cannot be read each refuse the server.
package hostkey
