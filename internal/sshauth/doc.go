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
// What x/crypto cannot read, OpenSSH's own programs can: a PrivateAgent is an
// ssh-agent of ours for security keys, smart cards and files of other formats
// and ciphers. What ssh-add asks for comes back as a Question of the login.
//
//	Login ──runs──► ssh-add ──runs──► this program as SSH_ASKPASS (Askpass)
//	  ▲                │                        ║ Unix socket
//	  │                └─adds─► PrivateAgent    ║
//	  └───────────── questions ◄──── relay ◄════╝
//
// Decrypted keys outlive a login only where the caller says so and for as long
// as it says, in a Keyring or in the PrivateAgent, and serve only logins that
// name the same file while it is the same. Passwords, passphrases, PINs and
// one-time codes are never kept, and nothing secret is logged. Memory that the
// collector owns cannot be wiped for certain, so a key that must not be in
// this process belongs in an agent. The package prints nothing but Askpass's
// answer, reads no configuration, connects to agents only, and decides nothing
// about trying again.
package sshauth
