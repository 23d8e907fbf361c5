package hostkey

import (
	"context"
	"net"

	"muxd/control"
	"muxd/internal/sshconf"
)

// Server is whom a host key is judged for, and by what. All but Conf and
// Prompter may be left out.
type Server struct {
	Name string // as the person typed it
	User string // to log in as, for questions
	Host string // to connect to
	Port int
	Conf *sshconf.Config
	// Peer is the far end of the connection, nil where something stands in
	// between: a proxy's or a jump host's address is not the server's.
	Peer net.Addr
	// Before is the plain key that the last login met, in wire form.
	Before []byte
	// Home is the user's, for the names of files that a person reads.
	Home string
	// Authorities are the algorithms by which an authority may have signed, of
	// which CASignatureAlgorithms chooses.
	Authorities []string
	// Prompter reaches the person who is asked and told.
	Prompter control.Prompter
	// Run runs KnownHostsCommand as the asking client's own child and returns
	// what it printed. A status other than 0 is an error; ErrNoRunner, by
	// errors.Is, means that no client is there, as does a nil Run.
	Run func(ctx context.Context, argv []string) (stdout []byte, err error)
	// Debug is told, under -v, what is found; nil tells nobody.
	Debug func(format string, args ...any)
}
