package knownhosts

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// hostSpec is the hosts field of a line: either one hashed name or a list of
// patterns.
type hostSpec struct {
	salt, sum []byte   // of a hashed name; else nil
	patterns  []string // lower case; "!" negates
	written   string   // as the line has them
}

// hashMagic begins a hashed name; 1 is HMAC-SHA1, the only kind there is
// (HASH_MAGIC, hostfile.h).
const hashMagic = "|1|"

func parseHosts(s string) (hostSpec, error) {
	if !strings.HasPrefix(s, "|") {
		return hostSpec{patterns: strings.Split(strings.ToLower(s), ","), written: s}, nil
	}
	rest, ok := strings.CutPrefix(s, hashMagic)
	if !ok {
		return hostSpec{}, errors.New("unknown kind of hashed name")
	}
	a, b, _ := strings.Cut(rest, "|")
	salt, err := base64.StdEncoding.DecodeString(a)
	if err != nil {
		return hostSpec{}, fmt.Errorf("the salt of the hashed name is not base64: %w", err)
	}
	sum, err := base64.StdEncoding.DecodeString(b)
	if err != nil {
		return hostSpec{}, fmt.Errorf("the hashed name is not base64: %w", err)
	}
	if len(salt) != sha1.Size || len(sum) != sha1.Size {
		return hostSpec{}, errors.New("the hashed name has a wrong length")
	}
	return hostSpec{salt: salt, sum: sum, written: s}, nil
}

func (h hostSpec) String() string {
	if h.sum == nil {
		return strings.Join(h.patterns, ",")
	}
	e := base64.StdEncoding.EncodeToString
	return hashMagic + e(h.salt) + "|" + e(h.sum)
}

// match reports whether the entry is about name, which is in lower case. One
// negated pattern that matches outweighs all others (match_pattern_list,
// match.c).
func (h hostSpec) match(name string) bool {
	if h.sum != nil {
		mac := hmac.New(sha1.New, h.salt)
		mac.Write([]byte(name))
		return hmac.Equal(mac.Sum(nil), h.sum)
	}
	found := false
	for _, p := range h.patterns {
		p, negated := strings.CutPrefix(p, "!")
		if !glob(p, name) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

// glob matches the whole of s against p, in which * is any run and ? any one
// byte. Only the last * is ever taken back, so a line of stars costs
// len(p)*len(s) and not an exponent of it.
func glob(p, s string) bool {
	pi, si, star, mark := 0, 0, -1, 0
	for si < len(s) {
		switch {
		case pi < len(p) && p[pi] == '*':
			star, mark = pi, si
			pi++
		case pi < len(p) && (p[pi] == '?' || p[pi] == s[si]):
			pi++
			si++
		case star >= 0:
			mark++
			pi, si = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(p[pi:], "*") == ""
}
