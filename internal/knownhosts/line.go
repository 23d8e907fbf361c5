package knownhosts

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// marker is the optional first word of a line.
type marker string

const (
	plain     marker = ""
	authority marker = "@cert-authority"
	revoked   marker = "@revoked"
)

// line is one line of a file, understood.
type line struct {
	marker marker
	hosts  hostSpec
	key    ssh.PublicKey
}

// errNothing says that a line is empty or a comment: not a bad one.
var errNothing = errors.New("no entry")

const blanks = " \t"

// parseLine understands "[marker] hosts keytype base64 [comment]". It takes
// what hostkeys_foreach_file (hostfile.c) takes, but for SSH 1 keys.
func parseLine(text string) (line, error) {
	rest := strings.Trim(text, blanks+"\r\n")
	if rest == "" || rest[0] == '#' {
		return line{}, errNothing
	}
	l := line{marker: plain}
	word, rest := cutBlank(rest)
	if word[0] == '@' {
		l.marker = marker(word)
		if l.marker != authority && l.marker != revoked {
			return line{}, fmt.Errorf("unknown marker %q", word)
		}
		word, rest = cutBlank(rest)
	}
	typ, rest := cutBlank(rest)
	blob, _ := cutBlank(rest)
	if blob == "" {
		return line{}, errors.New("the line ends before its key")
	}
	var err error
	if l.hosts, err = parseHosts(word); err != nil {
		return line{}, err
	}
	l.key, err = parseKey(typ, blob)
	return l, err
}

// parseKey reads a key and holds it to the type written before it, as
// sshkey_read (sshkey.c) does: the two may differ only by mischief.
func parseKey(typ, blob string) (ssh.PublicKey, error) {
	raw, err := base64.StdEncoding.DecodeString(blob)
	if err != nil {
		return nil, fmt.Errorf("the key is not base64: %w", err)
	}
	key, err := ssh.ParsePublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("unusable %s key: %w", typ, err)
	}
	if key.Type() != typ {
		return nil, fmt.Errorf("the line says %s and holds a key of type %s", typ, key.Type())
	}
	return key, nil
}

func cutBlank(s string) (word, rest string) {
	i := strings.IndexAny(s, blanks)
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], blanks)
}

func (l line) String() string {
	s := l.hosts.String() + " " + formatKey(l.key)
	if l.marker != plain {
		s = string(l.marker) + " " + s
	}
	return s
}

func formatKey(k ssh.PublicKey) string {
	return k.Type() + " " + base64.StdEncoding.EncodeToString(k.Marshal())
}
