package knownhosts

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Revoking returns the first of the files (RevokedHostKeys) that revokes key,
// or "". A file is a key revocation list (ssh-keygen -k) or holds public keys,
// one a line. Whatever cannot be read or understood is an error, for the caller
// to refuse the key by: a list that is not there revokes nobody, and that is
// what a thief would have it do.
func Revoking(files []string, key ssh.PublicKey) (string, error) {
	for _, f := range files {
		data, err := readKeys(f)
		if err != nil {
			return "", err
		}
		found, err := revokedIn(data, key)
		if err != nil {
			return "", fmt.Errorf("%s: %w", f, err)
		}
		if found {
			return f, nil
		}
	}
	return "", nil
}

func revokedIn(data []byte, key ssh.PublicKey) (bool, error) {
	if !isKRL(data) {
		return listedIn(string(data), key)
	}
	k, err := parseKRL(data)
	if err != nil {
		return false, fmt.Errorf("the key revocation list: %w", err)
	}
	return k.revokes(key), nil
}

// listedIn looks through "keytype base64 [comment]" lines, as sshkey_in_file
// (authfile.c) does.
func listedIn(text string, key ssh.PublicKey) (bool, error) {
	num := 0
	for l := range strings.Lines(text) {
		num++
		l = strings.Trim(l, blanks+"\r\n")
		if l == "" || l[0] == '#' {
			continue
		}
		bad, err := parseRevoked(l)
		if err != nil {
			return false, fmt.Errorf("line %d: %w", num, err)
		}
		if bad != nil && revokes(bad, key) {
			return true, nil
		}
	}
	return false, nil
}

// parseRevoked reads a line's key. It is nil where the SSH library knows no
// keys of that type: no server can present one here.
func parseRevoked(text string) (ssh.PublicKey, error) {
	typ, rest := cutBlank(text)
	blob, _ := cutBlank(rest)
	raw, err := base64.StdEncoding.DecodeString(blob)
	if err != nil {
		return nil, fmt.Errorf("the key is not base64: %w", err)
	}
	if own := (&wireReader{data: raw}).cstring(); own == "" || own != typ {
		return nil, errors.New("no public key")
	}
	key, err := ssh.ParsePublicKey(raw)
	if unknownType(err) {
		return nil, nil
	}
	return key, err
}

// unknownType reports that the SSH library refused a key for its type alone:
// "ssh: unknown key algorithm: …" (keys.go, parsePubKey).
func unknownType(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "ssh: unknown key algorithm: ")
}
