package sshconf

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// Jump is one hop of ProxyJump.
type Jump struct {
	User string // "" where none was given: the hop's own configuration decides
	Host string
	Port int // 0 likewise
}

var errJump = errors.New("not a host, user@host:port or ssh:// URI")

// scanJumps reads a comma-separated list of hops, the first to be reached
// first. Strict also refuses what a shell could take for more than a name, as
// ssh does for the command line.
func scanJumps(spec string, strict bool) ([]Jump, error) {
	var jumps []Jump
	for _, s := range strings.Split(spec, ",") {
		j, err := scanJump(s)
		if err != nil {
			return nil, err
		}
		if strict && (!validHost(j.Host) || !validUser(j.User)) {
			return nil, errJump
		}
		jumps = append(jumps, j)
	}
	return jumps, nil
}

func scanJump(s string) (j Jump, err error) {
	rest, uri := strings.CutPrefix(s, "ssh://")
	at := strings.LastIndexByte(rest, '@')
	if uri {
		at = strings.IndexByte(rest, '@')
	}
	if at >= 0 {
		j.User, rest = rest[:at], rest[at+1:]
		if uri {
			j.User, _, _ = strings.Cut(j.User, ";")
			if j.User, err = url.PathUnescape(j.User); err != nil {
				return j, errJump
			}
		}
		if j.User == "" {
			return j, errJump
		}
	}
	if uri {
		rest = strings.TrimSuffix(rest, "/")
	}
	return j, j.hostPort(rest)
}

func (j *Jump) hostPort(s string) error {
	port, ok := "", true
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return errJump
		}
		j.Host, port = s[1:end], s[end+1:]
		if port != "" && port[0] != ':' {
			return errJump
		}
		port = strings.TrimPrefix(port, ":")
	} else {
		j.Host, port, _ = strings.Cut(s, ":")
	}
	if j.Host == "" && !strings.HasPrefix(s, "[") || strings.Contains(j.Host, "/") {
		return errJump
	}
	if port != "" {
		if j.Port, ok = scanPort(port); !ok || j.Port == 0 {
			return errJump
		}
	}
	return nil
}

// validHost refuses a host name that a shell or an option parser could take for
// something else (readconf.c, ssh_valid_hostname).
func validHost(s string) bool {
	return !strings.HasPrefix(s, "-") && !strings.ContainsAny(s, "'`\"$\\;&<>|(){},") && !hasControl(s, true)
}

// validUser is validHost for the name of a remote user, which may have blanks.
func validUser(s string) bool {
	if strings.HasPrefix(s, "-") || strings.ContainsAny(s, "'`\";&<>|(){}") || hasControl(s, false) {
		return false
	}
	return !strings.Contains(s, " -") && !strings.HasSuffix(s, "\\")
}

func hasControl(s string, blank bool) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || blank && r == ' ' })
}

// canonicalHost is the host in the form in which ssh looks it up: a name in
// lower case, an address as it is printed. The short forms of IPv4 that
// inet_aton knows (127.1) are left to the resolver.
func canonicalHost(s string) string {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.String()
	}
	return lowerASCII(s)
}
