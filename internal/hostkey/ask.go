package hostkey

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/knownhosts"
)

// maxOtherNames bounds what a question lists (MAX_OTHER_NAMES, sshconnect.c).
const maxOtherNames = 8

// errRefusedKey is the answer no.
var errRefusedKey = errors.New("host key verification failed")

// ask shows an unknown key to the person, in ssh's words (sshconnect.c). Other
// is the key of the last login where that was not this one.
func (c *Check) ask(key ssh.PublicKey, other string) error {
	address := "<no hostip for proxy command>"
	if ip := c.peerIP(); ip != nil {
		q := c.query
		q.Address = ip.String()
		address = q.AddressName()
	}
	print := c.fingerprint(key)
	text := fmt.Sprintf("The authenticity of host '%s (%s)' can't be established.\n%s key fingerprint is: %s\n",
		c.query.Name(), address, keyKind(key), print)
	if c.srv.Conf.IsSet("visualhostkey") {
		text += c.art(key) + "\n"
	}
	text += c.otherNames(key) + "\n"
	if other != "" {
		text += "WARNING: this key is new: " + other + ".\n"
	}
	if c.unread != "" {
		text += "WARNING:" + c.unread + ".\n"
	}
	err := c.confirm(text+"Are you sure you want to continue connecting (yes/no/[fingerprint])? ", print)
	if errors.Is(err, control.ErrNobody) {
		err = fmt.Errorf("%w: log in once from a terminal, or with StrictHostKeyChecking=accept-new", err)
	}
	if err != nil && !errors.Is(err, errRefusedKey) {
		return unverified("%s is not known for %s%s: %w", c.describe(key), c.query.Name(), c.unread, err)
	}
	return err
}

// confirm asks until there is an answer. Print is one too, "" where there is
// none to compare.
func (c *Check) confirm(text, print string) error {
	q := control.Prompt{Kind: control.PromptConfirm, Host: c.srv.User + "@" + c.srv.Host, Text: text}
	for {
		a, err := c.srv.Prompter.Prompt(c.ctx, q)
		if err != nil {
			return err
		}
		switch text := strings.TrimSpace(a.Text); {
		case strings.EqualFold(text, "yes"), print != "" && text == print:
			return nil
		case text == "", strings.EqualFold(text, "no"):
			return errRefusedKey
		}
		q.Text = "Please type 'yes' or 'no': "
		if print != "" {
			q.Text = "Please type 'yes', 'no' or the fingerprint: "
		}
	}
}

// otherNames says where else the key is known, in ssh's words.
func (c *Check) otherNames(key ssh.PublicKey) string {
	places := c.files.OtherNames(c.query, key)
	if len(places) == 0 {
		return "This key is not known by any other names."
	}
	text := "This host key is known by the following other names/addresses:"
	for i, p := range places {
		if i == maxOtherNames {
			return text + fmt.Sprintf("\n    (%d additional names omitted)", len(places)-i)
		}
		text += fmt.Sprintf("\n    %s:%d: %s", c.short(p.File), p.Line, p.Hosts)
	}
	return text
}

// short writes a file below the home directory with a tilde.
func (c *Check) short(file string) string {
	home := strings.TrimSuffix(c.srv.Home, "/")
	if rest, ok := strings.CutPrefix(file, home+"/"); ok && home != "" {
		return "~/" + rest
	}
	return file
}

// add remembers a key that was accepted. A file that cannot be written does not
// stop the login, as with ssh, but the person is told.
func (c *Check) add(key ssh.PublicKey, ip knownhosts.Result) {
	names := []string{c.query.Name()}
	if c.query.Address != "" && ip.Status == knownhosts.Unknown {
		names = append(names, c.query.AddressName())
	}
	if c.append(names, key) {
		c.inform(fmt.Sprintf("Warning: Permanently added '%s' (%s) to the list of known hosts.", strings.Join(names, ","), keyKind(key)))
	}
}

func (c *Check) append(names []string, key ssh.PublicKey) bool {
	err := knownhosts.Append(c.srv.Conf.UserKnownHostsFiles()[0], names, key, c.srv.Conf.HashKnownHosts())
	if err != nil {
		c.inform(fmt.Sprintf("muxc: %s: the host key was not remembered: %v", c.srv.Name, err))
	}
	return err == nil
}

func (c *Check) inform(text string) {
	if c.srv.Conf.Informs() {
		c.srv.Prompter.Notice(text)
	}
}
