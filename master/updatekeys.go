package master

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"muxd/internal/knownhosts"
	"muxd/internal/sshconf"
)

// The global requests of UpdateHostKeys (PROTOCOL of OpenSSH, section 2.5): the
// server says once which host keys it has, and proves those that are asked for.
const (
	hostKeysRequest = "hostkeys-00@openssh.com"
	proveRequest    = "hostkeys-prove-00@openssh.com"
)

// keyUpdate is what a link needs to learn further host keys.
type keyUpdate struct {
	check    *hostKeyCheck
	files    []string     // the user's
	unproven *atomic.Bool // of the host: an earlier proof was never answered
}

// keyUpdate returns nil where nothing may be learned: only the key that is in
// the user's own file, or that a person accepted just now, vouches for others.
func (c *hostKeyCheck) keyUpdate(h *host) *keyUpdate {
	c.mu.Lock()
	trusted := c.update && !c.distrust
	c.mu.Unlock()
	files := c.d.conf.UserKnownHostsFiles()
	if !trusted || len(files) == 0 || h.unproven.Load() || !updatesHostKeys(c.d.conf) {
		return nil
	}
	return &keyUpdate{check: c, files: files, unproven: &h.unproven}
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
	return usual && !isSet(conf, "verifyhostkeydns")
}

// hostKeys takes the server's list of its keys, once. Called by requests, which
// must not wait: the proof is a request that may never be answered.
func (l *link) hostKeys(payload []byte) bool {
	u := l.update
	l.update = nil
	if u == nil {
		return false
	}
	go func() {
		if err := l.learn(u, payload); err != nil {
			l.log.Info("host keys are left as they are", "why", err)
		}
	}()
	return true
}

// learn brings the user's known_hosts to what the server has.
func (l *link) learn(u *keyUpdate, payload []byte) error {
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
	proven, err := l.prove(u, wanted)
	if err != nil {
		return err
	}
	keep := slices.DeleteFunc(offered, func(k ssh.PublicKey) bool { return contains(plan.New, k) && !contains(proven, k) })
	if err := knownhosts.Replace(u.files, u.check.query, keep, u.check.d.conf.HashKnownHosts()); err != nil {
		return err
	}
	for _, k := range proven {
		l.log.Info("learned a host key", "key", u.check.describe(k))
	}
	for _, e := range plan.Old {
		l.log.Info("forgot a host key that the server has no longer", "key", u.check.describe(e.Key))
	}
	return nil
}

// parse reads the server's keys. Those that could not be used are passed over.
func (u *keyUpdate) parse(payload []byte) ([]ssh.PublicKey, error) {
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
func (u *keyUpdate) short(k ssh.PublicKey) bool {
	n := rsaBits(k)
	return n > 0 && n < u.check.d.conf.RequiredRSASize()
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
