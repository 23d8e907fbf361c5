// Package sshauth logs in to an SSH server (RFC 4252) as ssh does: it knows
// which keys to offer and in which order, talks to the agent, and asks the
// person, but only for what the server will then take.
//
// It exists because x/crypto's list of methods tries each method once, wants
// every key decrypted beforehand, and cannot tell a refused login from one
// that lacked somebody to ask. The latter two matter to a daemon: a refused
// login must not be repeated by a timer, and one without a person may succeed
// as soon as somebody is there.
//
// It refuses to remember: passwords and passphrases are never kept, decrypted
// keys not beyond Close, and nothing secret is logged. Memory that the
// collector owns cannot be wiped for certain, so a key that must not be in
// this process belongs in an agent. It prints nothing, reads no configuration,
// makes no connection but the agent's, and decides nothing about trying again.
package sshauth
