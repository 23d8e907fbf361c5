package hostkey

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"golang.org/x/crypto/ssh"

	"muxd/internal/knownhosts"
	"muxd/internal/sshconf"
)

// The global requests of UpdateHostKeys (PROTOCOL of OpenSSH, section 2.5).
const (
	// Announcement is the server saying, once, which host keys it has.
	Announcement = "hostkeys-00@openssh.com"
	// proveRequest asks it to prove some of them.
	proveRequest = "hostkeys-prove-00@openssh.com"
)

// Update learns further host keys of a server whose key was accepted, over the
// connection of that login.
type Update struct {
	check *Check
	files []string // the user's

	// Proving is told that the server is asked for a proof, true, and that it
	// answered or the connection ended, false. While it lasts the SSH library
	// keeps every other global request back. Nil tells nobody.
	Proving func(bool)
	// Unproven is told true before the server is asked for a proof and false
	// when it answered, never when the connection ended first: such a server
	// is not to be asked again. Nil tells nobody.
	Unproven func(bool)
	// Log hears what was learned and forgotten; Updates sets one that discards.
	Log *slog.Logger
}

// Updates returns nil where nothing may be learned: only the key that is in
// the user's own file, or that a person accepted just now, vouches for others.
func (c *Check) Updates() *Update {
	c.mu.Lock()
	trusted := c.update && !c.distrust
	c.mu.Unlock()
	files := c.srv.Conf.UserKnownHostsFiles()
	if !trusted || len(files) == 0 || !updatesHostKeys(c.srv.Conf) {
		return nil
	}
	return &Update{check: c, files: files, Log: slog.New(slog.DiscardHandler)}
}

// updatesHostKeys is UpdateHostKeys with ssh's default (fill_default_options,
// readconf.c): on for those who keep known_hosts where it always was. Ask is
// off, as in an ssh with ControlPersist, which is what muxd is: when the server
// speaks the terminal is the command's already.
func updatesHostKeys(conf *sshconf.Config) bool {
	if v, set := conf.Get("updatehostkeys"); set && len(v) > 0 {
		return v[0] == "yes"
	}
	files, set := conf.Get("userknownhostsfile")
	usual := !set || len(files) == 1 && files[0] == "~/.ssh/known_hosts"
	return usual && !conf.IsSet("verifyhostkeydns")
}

// Learn brings the user's known_hosts to what the server has, by the payload of
// its Announcement. It waits for the server's proof for as long as conn lives.
func (u *Update) Learn(conn ssh.Conn, payload []byte) error {
	offered, err := u.parse(payload)
	if err != nil || len(offered) == 0 {
		return err
	}
	s, notes := knownhosts.Load(u.files, nil)
	for _, n := range notes {
		if n.Line == 0 { // what stands in such a file is not known
			return errors.New(n.String())
		}
	}
	plan := s.Plan(u.check.query, offered)
	wanted := slices.DeleteFunc(slices.Clone(plan.New), u.short)
	switch {
	case len(wanted) == 0 && len(plan.Old) == 0:
		return nil
	case plan.Skip != "":
		return errors.New(plan.Skip)
	}
	proven, err := u.prove(conn, wanted)
	if err != nil {
		return err
	}
	keep := slices.DeleteFunc(offered, func(k ssh.PublicKey) bool { return contains(plan.New, k) && !contains(proven, k) })
	if err := knownhosts.Replace(u.files, u.check.query, keep, u.check.srv.Conf.HashKnownHosts()); err != nil {
		return err
	}
	for _, k := range proven {
		u.Log.Info("learned a host key", "key", u.check.describe(k))
	}
	for _, e := range plan.Old {
		u.Log.Info("forgot a host key that the server has no longer", "key", u.check.describe(e.Key))
	}
	return nil
}

// parse reads the server's keys. Those that could not be used are passed over.
func (u *Update) parse(payload []byte) ([]ssh.PublicKey, error) {
	blobs, err := stringList(payload)
	if err != nil {
		return nil, err
	}
	var keys []ssh.PublicKey
	for _, b := range blobs {
		k, err := ssh.ParsePublicKey(b)
		if _, cert := k.(*ssh.Certificate); err != nil || cert || !u.check.permits(k) {
			continue
		}
		if contains(keys, k) {
			return nil, errors.New("the server lists a key twice")
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// short reports an RSA key that RequiredRSASize would refuse.
func (u *Update) short(k ssh.PublicKey) bool {
	n := rsaBits(k)
	return n > 0 && n < u.check.srv.Conf.RequiredRSASize()
}

// stringList reads strings to the end.
func stringList(data []byte) ([][]byte, error) {
	var all [][]byte
	for len(data) > 0 {
		var one struct {
			Text []byte
			Rest []byte `ssh:"rest"`
		}
		if err := ssh.Unmarshal(data, &one); err != nil {
			return nil, fmt.Errorf("the server's list of keys: %w", err)
		}
		all, data = append(all, one.Text), one.Rest
	}
	return all, nil
}

func contains(keys []ssh.PublicKey, k ssh.PublicKey) bool {
	return slices.ContainsFunc(keys, func(o ssh.PublicKey) bool { return string(o.Marshal()) == string(k.Marshal()) })
}
