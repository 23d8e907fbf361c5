package hostkey

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"muxd/internal/knownhosts"
)

// checkAddress looks a plain key up under the server's address (CheckHostIP).
func (c *Check) checkAddress(key ssh.PublicKey) (knownhosts.Result, error) {
	if c.query.Address == "" {
		return knownhosts.Result{}, nil
	}
	s, err := c.consult(c.files, reasonAddress, c.query.AddressName(), key)
	if err != nil {
		return knownhosts.Result{}, err
	}
	return s.CheckAddress(c.query, key), nil
}

// addAddress remembers the address of a host whose key is known.
func (c *Check) addAddress(key ssh.PublicKey, r knownhosts.Result) {
	name := c.query.AddressName()
	if r.From == knownhosts.Command || len(c.srv.Conf.UserKnownHostsFiles()) == 0 {
		c.inform(fmt.Sprintf("%s host key for IP address '%s' not in list of known hosts.", keyKind(key), name))
		return
	}
	if c.append([]string{name}, key) {
		c.inform(fmt.Sprintf("Warning: Permanently added the %s host key for IP address '%s' to the list of known hosts.", keyKind(key), name))
	}
}

// addressDiffers is a key that is right for the host's name, and not the one
// known for its address (sshconnect.c, check_host_key).
func (c *Check) addressDiffers(r, ip knownhosts.Result, key ssh.PublicKey) error {
	differs := fmt.Sprintf("the %s key for %s differs from the one that %s:%d lists for its address %s",
		keyKind(key), c.query.Name(), ip.File, ip.Line, c.query.AddressName())
	where := fmt.Sprintf("\nOffending key for IP in %s:%d", ip.File, ip.Line)
	if r.Status == knownhosts.Known {
		where += fmt.Sprintf("\nMatching host key in %s:%d", r.File, r.Line)
	}
	text := fmt.Sprintf("Warning: the %s host key for '%s' differs from the key for the IP address '%s'%s",
		keyKind(key), c.query.Name(), c.query.AddressName(), where)
	switch c.srv.Conf.StrictHostKeyChecking() {
	case "no":
		c.inform(text)
		return nil
	case "ask":
		err := c.confirm(text+"\nAre you sure you want to continue connecting (yes/no)? ", "")
		if err == nil || errors.Is(err, errRefusedKey) {
			return err
		}
		return unverified("%s: %w", differs, err)
	}
	return unverified("%s", differs)
}
