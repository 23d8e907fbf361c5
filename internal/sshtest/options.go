package sshtest

import (
	"context"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options says how a Server behaves. The zero value is a server with one new
// ed25519 host key that lets everybody in and grants everything.
//
// A connection takes the options that hold when it begins, except for those
// marked live, which are looked up at each request. Server.Update changes
// them; it replaces slices and maps and never writes into them.
type Options struct {
	// HostKeys are offered in this order, one of each type; nil: a new one,
	// the same for the life of the server.
	HostKeys []ssh.Signer
	// Config holds algorithms, and RekeyThreshold for rekeys that the
	// server begins.
	Config ssh.Config
	// Version is the identification string, "SSH-2.0-sshtest" if empty.
	Version string
	// Greeting, if set, is all that the server says before it closes, in
	// place of SSH: "Exceeded MaxStartups\r\n".
	Greeting string
	// Banner is sent before authentication (RFC 4252 section 5.4).
	Banner string

	// Who may log in. With all three empty the method "none" is enough.
	AuthorizedKeys []ssh.PublicKey
	Password       string
	Interactive    []Round
	// AuthMethods, as AuthenticationMethods of sshd_config, are required one
	// after the other, of "publickey", "password" and
	// "keyboard-interactive"; nil: any one that is configured.
	AuthMethods []string
	// MaxAuthTries is 6 if zero and unlimited if negative.
	MaxAuthTries int

	// MaxSessions is how many sessions one connection may have at a time;
	// zero: any number, negative: none. A session beyond them is refused
	// with sshd's "open failed". Live.
	MaxSessions int
	// RefuseExec refuses exec, shell and subsystem requests; RefusePTY and
	// RefuseEnv theirs, RefuseX11 x11-req; RefuseForward direct and remote
	// forwards alike, RefuseListen remote ones alone. Live.
	RefuseExec, RefusePTY, RefuseEnv, RefuseX11, RefuseForward, RefuseListen bool
	// HoldPorts is for how long the remote forwards of a connection stay taken
	// once its end was noticed, whatever ended it: others that ask for them are
	// refused. Live.
	HoldPorts time.Duration
	// Ports are given, one after the other, to remote forwards that ask for
	// port 0, each as often as it stands here and without a look at whether it
	// is free; then, as without them, ports from 40001 on. Live.
	Ports []uint32
	// IgnoreKeepalives leaves keepalive@openssh.com requests on the
	// connection without an answer: a hung peer with a live kernel. Live.
	IgnoreKeepalives bool

	// Global answers global requests; where it is nil or says that it did
	// not, the server does. Live.
	Global func(p *Peer, r *ssh.Request) (answered bool)

	// Commands are further commands of the built-in shell, and subsystems.
	// Live.
	Commands map[string]Command
	// Direct connects a direct-tcpip channel ("host:port") or
	// direct-streamlocal@openssh.com channel (a path); nil: an echo. Its error
	// is the answer: an *ssh.OpenChannelError with its own reason, any other
	// one as a connection that failed. Live.
	Direct func(ctx context.Context, address string) (io.ReadWriteCloser, error)

	// DialDelay is how long Dial takes; an unreachable host has a large one.
	DialDelay time.Duration
	// DialError, if set, is what Dial returns after DialDelay.
	DialError error
	// HandshakeDelay is the silence between the connection and the server's
	// first byte, AuthDelay that before each answer to an authentication
	// attempt, OpenDelay that before each answer to a channel open. The
	// last is live, and holds up the opens behind it.
	HandshakeDelay, AuthDelay, OpenDelay time.Duration
	// Buffer is the size of Dial's pipes in bytes; zero: PipeBuffer.
	Buffer int
}

// Round is one challenge of keyboard-interactive (RFC 4256): what is shown and
// what is expected.
type Round struct {
	Name, Instruction string
	Questions         []Question
}

// Question is one prompt of a Round and the answer that passes.
type Question struct {
	Text   string
	Echo   bool
	Answer string
}
