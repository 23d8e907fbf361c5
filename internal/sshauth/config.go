package sshauth

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/internal/firstkex"
)

// Kind says what is asked.
type Kind int

// The kinds of question. Confirm is a yes-or-no; here an empty answer is a yes,
// as in ssh.
const (
	Passphrase Kind = iota + 1
	Password
	KeyboardInteractive
	Confirm
)

// Question is what a person is to be asked.
type Question struct {
	Kind Kind
	// Host is the login's user@host.
	Host string
	// Text is the prompt as ssh words it. For KeyboardInteractive it holds the
	// server's own words, unfiltered.
	Text string
	// Echo says that the answer may be seen while it is typed.
	Echo bool
	// KeyFile is the key that a Passphrase is for.
	KeyFile string
}

// Ask puts a question to the person behind the login and waits for the answer
// until ctx ends. ErrNobody means that there is no one to ask, and the login
// goes on by other means; any other error ends the login.
type Ask func(ctx context.Context, q Question) (string, error)

// ErrNobody is an Ask that found nobody. By errors.Is it is also the error of
// a login that might have succeeded with somebody to ask.
var ErrNobody = errors.New("nobody could be asked")

// ErrDenied is, by errors.Is, the error of a login that the server refused by
// every means there was. The same attempt will be refused again.
var ErrDenied = errors.New("permission denied")

// Config says how to log in. The names are those of ssh_config(5), and the
// lists come with patterns, tokens and defaults already resolved.
type Config struct {
	User, Host string
	// IdentityFiles are tried in this order. Where IdentitiesDefault is set they
	// are ssh's own guesses, and a missing one is not worth a word.
	IdentityFiles     []string
	IdentitiesDefault bool
	// CertificateFiles, where there are any, replace the FILE-cert.pub beside
	// each identity.
	CertificateFiles []string
	// IdentitiesOnly leaves out the agent's keys that no file names.
	IdentitiesOnly bool
	// AgentSocket is the agent's path, "" for none.
	AgentSocket string
	// DialAgent connects to AgentSocket; nil connects to a Unix socket. Tests
	// put a pipe here.
	DialAgent func(ctx context.Context, path string) (net.Conn, error)
	// Proof, where it is set, is how the server of that session proved its host
	// key, or nil. The agent is told: it may hold keys for some servers alone.
	Proof func(sessionID []byte) *firstkex.Proof
	// Ask is nil where there is nobody, as under BatchMode.
	Ask Ask
	// Notice shows a line to the person without asking. It may be nil.
	Notice func(text string)
	// NumberOfPasswordPrompts bounds the tries of each passphrase, of the
	// password and of keyboard-interactive; 0 asks for none.
	NumberOfPasswordPrompts int
	// Preferred is PreferredAuthentications; nil is ssh's default order.
	Preferred []string
	// Pubkey, Password and Keyboard allow the methods at all.
	Pubkey, Password, Keyboard bool
	// PubkeyAlgorithms is PubkeyAcceptedAlgorithms, best first; nil is all but
	// SHA-1 and DSA.
	PubkeyAlgorithms []string
	// RequiredRSASize is the least size of an RSA key in bits.
	RequiredRSASize int
	// Remember is for how long keys that were decrypted in this login may serve
	// others: in Keyring, and in Private. 0 is for none, Forever without end.
	// A login with 0 does not use what others left either.
	Remember time.Duration
	// Keyring remembers decrypted keys; it may be nil.
	Keyring *Keyring
	// Private is the agent for keys that x/crypto cannot read; without one they
	// are left out.
	Private *PrivateAgent
	// PKCS11Provider is the library for smart cards, SecurityKeyProvider the one
	// for security keys; "" for none and for ssh-add's own.
	PKCS11Provider, SecurityKeyProvider string
	// AddKeys is AddKeysToAgent.
	AddKeys AddKeys
	// Waiting is told that a key waits to be touched, and by the function that
	// it returns when that is over. It may be nil.
	Waiting func() (done func())
	// Background is a login that no person wants right now: it asks nothing
	// and uses no key that has to be touched.
	Background bool
	// Avoid says of an agent's key that it needs a touch though it does not
	// look so. It is asked in a Background login only and may be nil.
	Avoid func(ssh.PublicKey) bool
	// Signed is told how long the agent took to sign, failed or not, which
	// shows a key that needs a touch. It may be nil.
	Signed func(key ssh.PublicKey, took time.Duration)
	// Log may be nil.
	Log *slog.Logger
}

// AddKeys says whether a key that was read from its file, and used, is given to
// the agent (AddKeysToAgent).
type AddKeys struct {
	Add      bool
	Ask      bool          // the person, before
	Confirm  bool          // the agent is to ask before each use
	Lifetime time.Duration // 0: no end
}

// The methods by their names on the wire (RFC 4252, RFC 4256).
const (
	methodKey      = "publickey"
	methodKeyboard = "keyboard-interactive"
	methodPassword = "password"
)

// preferred is ssh's default order, without the methods there are none of
// here: gssapi-with-mic and hostbased.
var preferred = []string{methodKey, methodKeyboard, methodPassword}
