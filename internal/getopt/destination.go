package getopt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// SplitDestination takes user@host or ssh://[user@]host[:port] apart, as ssh
// does its destination. user and port are "" where none was given; user and host
// have passed ValidUser and ValidHost, and port is a number from 1 to 65535, or may
// be the name of a service.
//
// The plain form is split at the last @, since a user's name may hold one, and
// knows no port: a colon there belongs to an IPv6 address, and square brackets
// to the name. In the URL the user is percent-encoded, what follows a
// semicolon in it is dropped, the host may stand in brackets, as an IPv6 address
// must (which OpenSSH's documents say and its code refuses), and a path is refused.
func SplitDestination(s string) (user, host, port string, err error) {
	if uri, ok := strings.CutPrefix(s, "ssh://"); ok {
		if user, host, port, err = splitURI(uri); err != nil {
			return "", "", "", fmt.Errorf("destination %q: %w", s, err)
		}
	} else if user, host, err = splitUser(s); err != nil {
		return "", "", "", fmt.Errorf("destination %q: %w", s, err)
	}
	if err = ValidUser(user); err == nil {
		err = ValidHost(host)
	}
	if err != nil {
		return "", "", "", err
	}
	return user, host, port, nil
}

var errEmptyUser = errors.New("there is no user before the @")

func splitUser(s string) (user, host string, err error) {
	at := strings.LastIndexByte(s, '@')
	if at == 0 {
		return "", "", errEmptyUser
	}
	if at < 0 {
		return "", s, nil
	}
	return s[:at], s[at+1:], nil
}

// splitURI reads what follows ssh:// (misc.c, parse_uri).
func splitURI(s string) (user, host, port string, err error) {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		if user, err = uriUser(s[:at]); err != nil {
			return "", "", "", err
		}
		s = s[at+1:]
	}
	s, path, _ := strings.Cut(s, "/")
	if path != "" {
		return "", "", "", errors.New("a URL for a login has no path")
	}
	host, port, err = uriHost(s)
	if err == nil && port != "" {
		port, err = uriPort(port)
	}
	// The dot that makes a name absolute is dropped here, and only here.
	return user, strings.TrimSuffix(host, "."), port, err
}

// uriPort takes what -p would (misc.c, a2port). Which services there are is not for
// a parser of words to know.
func uriPort(s string) (string, error) {
	n, err := strconv.Atoi(s)
	if err == nil && n >= 1 && n <= 65535 {
		return strconv.Itoa(n), nil
	}
	if err == nil || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.Trim(s, "0123456789-") == "" {
		return "", fmt.Errorf("port %q is no number from 1 to 65535", s)
	}
	return s, nil
}

func uriUser(s string) (string, error) {
	s, _, _ = strings.Cut(s, ";")
	if s == "" {
		return "", errEmptyUser
	}
	if strings.Contains(s, "@") {
		return "", errors.New("an @ in the user's name is written %40 in a URL")
	}
	return unescape(s)
}

// uriHost splits host[:port]. In brackets stands an IPv6 address or what may stand
// there without them, so that they cannot smuggle in what a name may not hold.
func uriHost(s string) (host, port string, err error) {
	if !strings.HasPrefix(s, "[") {
		host, port, _ = strings.Cut(s, ":")
		return host, port, domain(host)
	}
	host, tail, closed := strings.Cut(s[1:], "]")
	port, colon := strings.CutPrefix(tail, ":")
	if !closed || tail != "" && !colon {
		return "", "", errors.New("the bracket around the address does not end before the port")
	}
	if strings.Contains(host, ":") {
		return host, port, ipv6(host)
	}
	return host, port, domain(host)
}

// domain holds the host of a URL to letters, digits, dots, hyphens and
// underscores, which is stricter than ValidHost (misc.c, valid_domain).
func domain(host string) error {
	for i := range len(host) {
		c := host[i]
		first := isAlnum(c) || c == '_'
		if !first && (i == 0 || c != '.' && c != '-' || c == '.' && host[i-1] == '.') {
			return fmt.Errorf("%q is no host name", host)
		}
	}
	return nil
}

func ipv6(host string) error {
	addr, zone, _ := strings.Cut(host, "%")
	if strings.Trim(addr, "0123456789abcdefABCDEF:.") != "" {
		return fmt.Errorf("%q in brackets is no IPv6 address", host)
	}
	return domain(zone)
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// unescape decodes a URL's percent signs, and a plus into a space, as OpenSSH
// does (misc.c, urldecode). %00 is refused: C would end the name there.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] != '%':
			b.WriteByte(s[i])
		default:
			c, err := strconv.ParseUint(s[i+1:min(i+3, len(s))], 16, 8)
			if err != nil || c == 0 || i+3 > len(s) {
				return "", fmt.Errorf("bad percent-encoding in %q", s)
			}
			b.WriteByte(byte(c))
			i += 2
		}
	}
	return b.String(), nil
}
