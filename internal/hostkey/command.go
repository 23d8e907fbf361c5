package hostkey

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"muxd/internal/knownhosts"
)

// The reasons for which KnownHostsCommand is run (%I), as ssh_config(5) has
// them.
const (
	reasonOrder    = "ORDER"
	reasonHostname = "HOSTNAME"
	reasonAddress  = "ADDRESS"
)

// ErrNoRunner is a KnownHostsCommand in a login that no client waits for.
var ErrNoRunner = errors.New("KnownHostsCommand: no client is there to run it")

// consult adds to s what KnownHostsCommand prints about name, where there is
// such a command. Key is the server's, nil before it presented one. A command
// that fails refuses the server, as in ssh: what it would have said may be that
// the key is revoked.
func (c *Check) consult(s *knownhosts.Store, reason, name string, key ssh.PublicKey) (*knownhosts.Store, error) {
	argv, err := c.srv.Conf.KnownHostsCommand(c.tokens(reason, name, key))
	if err != nil || len(argv) == 0 {
		return s, err
	}
	switch {
	case c.srv.Run == nil:
		return nil, ErrNoRunner
	case !filepath.IsAbs(argv[0]):
		return nil, fmt.Errorf("KnownHostsCommand: %s is no absolute path", argv[0])
	}
	out, err := c.srv.Run(c.ctx, argv)
	switch {
	case errors.Is(err, ErrNoRunner):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("KnownHostsCommand failed: %w", err)
	}
	more, _ := s.With("KnownHostsCommand-"+reason, string(out))
	return more, nil
}

func (c *Check) tokens(reason, name string, key ssh.PublicKey) map[byte]string {
	t := map[byte]string{'I': reason, 'H': name, 't': "NONE", 'f': "NONE", 'K': "NONE"}
	if key != nil {
		t['t'], t['f'] = key.Type(), c.fingerprint(key)
		t['K'] = base64.StdEncoding.EncodeToString(key.Marshal())
	}
	return t
}
