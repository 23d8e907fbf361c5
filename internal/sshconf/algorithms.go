package sshconf

import (
	"fmt"
	"slices"
	"strings"
)

// The names that OpenSSH 9.2 to 10.5 know. They only tell a name from a typing
// error; what the SSH library can do is for the caller to say. Names that
// newer versions dropped stay: a line that one of two machines needs is no
// reason to refuse the file.
var (
	cipherNames = words(`3des-cbc aes128-cbc aes192-cbc aes256-cbc aes128-ctr aes192-ctr aes256-ctr
		aes128-gcm@openssh.com aes256-gcm@openssh.com chacha20-poly1305@openssh.com rijndael-cbc@lysator.liu.se`)
	macNames = words(`hmac-sha1 hmac-sha1-96 hmac-sha2-256 hmac-sha2-512 hmac-md5 hmac-md5-96
		umac-64@openssh.com umac-128@openssh.com hmac-sha1-etm@openssh.com hmac-sha1-96-etm@openssh.com
		hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com hmac-md5-etm@openssh.com
		hmac-md5-96-etm@openssh.com umac-64-etm@openssh.com umac-128-etm@openssh.com`)
	kexNames = words(`diffie-hellman-group1-sha1 diffie-hellman-group14-sha1 diffie-hellman-group14-sha256
		diffie-hellman-group16-sha512 diffie-hellman-group18-sha512 diffie-hellman-group-exchange-sha1
		diffie-hellman-group-exchange-sha256 ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521
		curve25519-sha256 curve25519-sha256@libssh.org sntrup761x25519-sha512 sntrup761x25519-sha512@openssh.com
		mlkem768x25519-sha256 mlkem768nistp256-sha256`)
	keyNames = words(`ssh-ed25519 ssh-ed25519-cert-v01@openssh.com sk-ssh-ed25519@openssh.com
		sk-ssh-ed25519-cert-v01@openssh.com ecdsa-sha2-nistp256 ecdsa-sha2-nistp256-cert-v01@openssh.com
		ecdsa-sha2-nistp384 ecdsa-sha2-nistp384-cert-v01@openssh.com ecdsa-sha2-nistp521
		ecdsa-sha2-nistp521-cert-v01@openssh.com sk-ecdsa-sha2-nistp256@openssh.com
		sk-ecdsa-sha2-nistp256-cert-v01@openssh.com webauthn-sk-ecdsa-sha2-nistp256@openssh.com
		webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com ssh-mldsa44-ed25519@openssh.com
		ssh-mldsa44-ed25519-cert-v01@openssh.com ssh-dss ssh-dss-cert-v01@openssh.com ssh-rsa
		ssh-rsa-cert-v01@openssh.com rsa-sha2-256 rsa-sha2-256-cert-v01@openssh.com rsa-sha2-512
		rsa-sha2-512-cert-v01@openssh.com`)
)

func words(s string) []string { return strings.Fields(s) }

// parseAlgorithms checks a list against the names that it may hold. A list to
// be removed is not checked, as in ssh; complaint has a %s for the argument.
func parseAlgorithms(valid func(string) bool, complaint string) parser {
	return func(l *line) ([]string, error) {
		arg, err := l.arg()
		if err != nil {
			return nil, l.badf("%v", err)
		}
		if arg[0] == '-' {
			return []string{arg}, nil
		}
		names := strings.TrimPrefix(arg, "+")
		if names == arg {
			names = strings.TrimPrefix(arg, "^")
		}
		if names == "" || !allValid(names, valid) {
			return nil, l.badf(complaint, arg)
		}
		return []string{arg}, nil
	}
}

// allValid looks at names up to the first empty one, as ssh does; some lists may
// not begin with that.
func allValid(names string, valid func(string) bool) bool {
	for i, name := range strings.Split(names, ",") {
		if name == "" {
			return i > 0 || valid("")
		}
		if !valid(name) {
			return false
		}
	}
	return true
}

func among(known []string) func(string) bool {
	return func(s string) bool { return slices.Contains(known, s) }
}

// keyPattern accepts key types and wildcards that match at least one.
func keyPattern(s string) bool {
	return s == "" || slices.ContainsFunc(keyNames, func(name string) bool { return matchList(name, s, false) != unknown })
}

// caPattern is keyPattern without certificates, which sign nothing.
func caPattern(s string) bool {
	return keyPattern(s) && !(slices.Contains(keyNames, s) && strings.Contains(s, "-cert-v01@"))
}

// assemble works out a list of algorithms (kex-names.c, kex_assemble_names):
// +list goes behind def, ^list before it, -list out of it, and any other list
// replaces it. What remains are the names of all that the list matches, in the
// order of the list.
func assemble(spec string, def, all []string) ([]string, error) {
	if spec == "" {
		return def, nil
	}
	list := strings.Split(spec[1:], ",")
	switch spec[0] {
	case '+':
		list = slices.Concat(def, list)
	case '^':
		list = slices.Concat(list, def)
	case '-':
		return slices.DeleteFunc(slices.Clone(def), func(name string) bool {
			return matchList(name, spec[1:], false) == matched
		}), nil
	default:
		list = strings.Split(spec, ",")
	}
	var out []string
	for _, pattern := range list {
		if strings.HasPrefix(pattern, "!") {
			return nil, fmt.Errorf("%q: only a list that is taken away may have a !", spec)
		}
		for _, name := range all {
			if match(name, pattern) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no algorithm in %q is supported here; `muxd doctor` lists those that are", spec)
	}
	return out, nil
}
