package hostkey

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"muxd/internal/knownhosts"
)

// judge decides about a plain key by what is known of it under the host's name
// and, with CheckHostIP, under its address.
func (c *Check) judge(key ssh.PublicKey, r knownhosts.Result) error {
	ip, err := c.checkAddress(key)
	if err != nil {
		return err
	}
	if ip.Status == knownhosts.Revoked && r.Status != knownhosts.Revoked {
		r = ip
	}
	switch r.Status {
	case knownhosts.Known:
		if ip.Status == knownhosts.Unknown && c.query.Address != "" {
			c.addAddress(key, r)
		}
		global := r.From != knownhosts.User || ip.Status == knownhosts.Known && ip.From != knownhosts.User
		c.trust(!global && !r.Bare)
		c.picture(key)
	case knownhosts.Unknown:
		if err := c.unknown(key, ip); err != nil {
			return err
		}
	case knownhosts.Revoked:
		return c.unsafe(fmt.Sprintf("%s is marked as revoked at %s:%d", c.describe(key), r.File, r.Line), "")
	case knownhosts.Changed:
		return c.changed(r, ip, key)
	}
	if ip.Status == knownhosts.Changed {
		return c.addressDiffers(r, ip, key)
	}
	return nil
}

// trust says whether the key is one that may vouch for others.
func (c *Check) trust(enough bool) {
	c.mu.Lock()
	c.update = enough
	c.mu.Unlock()
}

// unknown is a key of a host that has none yet. One that had another at the
// last login is no such host, even if that key was written down nowhere: then
// only a person may say that the new one is right.
func (c *Check) unknown(key ssh.PublicKey, ip knownhosts.Result) error {
	strict := c.srv.Conf.StrictHostKeyChecking()
	files := c.srv.Conf.UserKnownHostsFiles()
	other := c.other(key)
	switch {
	case len(files) == 0 || strings.ContainsAny(c.srv.Host, `@?*#[]|'"\`):
		// As ssh, which accepts no key that it could not write down.
		return unverified("no %s key is known for %s, and there is no file to remember one in", keyKind(key), c.query.Name())
	case strict == "yes":
		return unverified("no %s key is known for %s and StrictHostKeyChecking is yes%s", keyKind(key), c.query.Name(), c.unread)
	case strict == "ask":
		if err := c.ask(key, other); err != nil {
			return err
		}
		c.trust(true)
	case strict != "no" && other != "":
		return unverified("the host key has changed: %s, the server presents %s; if that is expected: muxc -o StrictHostKeyChecking=ask %s",
			other, c.describe(key), c.srv.Name)
	}
	c.add(key, ip)
	return nil
}

// other says which key the last login met, "" if it is this one.
func (c *Check) other(key ssh.PublicKey) string {
	if c.srv.Before == nil || bytes.Equal(c.srv.Before, key.Marshal()) {
		return ""
	}
	before, err := ssh.ParsePublicKey(c.srv.Before)
	if err != nil {
		return "the last login met another key"
	}
	return "the last login met " + c.describe(before)
}

// changed is a key other than the one known. Only a person may decide that it
// is right, by editing the file.
func (c *Check) changed(r, ip knownhosts.Result, key ssh.PublicKey) error {
	known := r.Other
	if r.Want != nil {
		known = []knownhosts.Entry{*r.Want}
	}
	text := "the host key has changed:"
	for _, e := range known {
		text += fmt.Sprintf(" %s:%d lists %s,", e.File, e.Line, c.describe(e.Key))
	}
	text += " the server presents " + c.describe(key)
	if ip.Status == knownhosts.Known {
		// Another machine's name may lead here now.
		text += fmt.Sprintf(", which is known for the address %s at %s:%d", c.query.Address, ip.File, ip.Line)
	}
	return c.unsafe(text, fmt.Sprintf("; if that is expected: ssh-keygen -f %s -R '%s'", r.File, c.query.Name()))
}

// unsafe refuses, or with checking off lets a connection go on of which nobody
// knows who is at the other end: without anything that such a one could abuse.
func (c *Check) unsafe(text, cure string) error {
	if c.srv.Conf.StrictHostKeyChecking() != "no" {
		return unverified("%s%s", text, cure)
	}
	if on, _ := c.srv.Conf.ExitOnForwardFailure(); on {
		return unverified("%s; StrictHostKeyChecking is off, and ExitOnForwardFailure wants no connection without forwards", text)
	}
	if !c.srv.Conf.Quiet() {
		c.srv.Prompter.Notice("muxc: " + c.srv.Name + ": WARNING: " + text +
			"; StrictHostKeyChecking is off: passwords, agent, X11 and forwards are disabled")
	}
	c.mu.Lock()
	c.distrust = true
	c.mu.Unlock()
	return nil
}

func unverified(format string, args ...any) error {
	return fmt.Errorf("host key verification failed: "+format, args...)
}
