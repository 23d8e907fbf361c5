package sshconf

import (
	"errors"
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

// scanJump reads user@host:port or ssh://user@host:port (misc.c,
// parse_user_host_port and parse_uri).
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
		}
		if j.User == "" {
			return j, errJump
		}
	}
	if !uri {
		return j, j.hostPort(rest)
	}
	if j.User, err = url.QueryUnescape(j.User); err != nil || strings.Contains(j.User, "\x00") {
		return j, errJump
	}
	rest, path, _ := strings.Cut(rest, "/")
	if err := j.hostPort(rest); err != nil || path != "" {
		return j, errJump
	}
	j.Host, err = validDomain(j.Host, false)
	return j, err
}

func (j *Jump) hostPort(s string) error {
	host, port, ok := cutHost(s)
	if !ok || s == "" || s[0] == ':' {
		return errJump
	}
	j.Host = host
	if port != "" {
		if j.Port, ok = scanPort(port); !ok || j.Port == 0 {
			return errJump
		}
	}
	return nil
}

// cutHost cuts host or [host] from the port behind it (misc.c, hpdelim).
func cutHost(s string) (host, port string, ok bool) {
	if !strings.HasPrefix(s, "[") {
		host, port, _ = strings.Cut(s, ":")
		return host, port, !strings.Contains(host, "/")
	}
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return "", "", false
	}
	host, port = s[1:end], s[end+1:]
	if port == "" {
		return host, "", true
	}
	return host, port[1:], port[0] == ':'
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
