package sshconf

import (
	"fmt"
	"strings"
)

// Forward is a forwarding as LocalForward, RemoteForward or DynamicForward, or
// -L, -R and -D, ask for it. Of each end either the path of a Unix socket or
// host and port are set.
type Forward struct {
	Spec        string // in the form of -L, -R and -D, before expansion
	ListenHost  string // "" where none was given: GatewayPorts decides
	ListenPort  int    // 0 only for RemoteForward: the server chooses
	ListenPath  string
	ConnectHost string
	ConnectPort int
	ConnectPath string
	Dynamic     bool // SOCKS decides where to connect to
	bareListen  bool // no listening host was written, not even an empty one
}

// maxSocketPath is the room for a path in sockaddr_un on Linux, with its NUL.
const maxSocketPath = 108

// maxHost is NI_MAXHOST.
const maxHost = 1025

type field struct {
	text string
	path bool
}

// cutField takes one colon-separated field: [text] is literal, a backslash
// escapes the next byte, and a slash makes it a path (readconf.c,
// parse_fwd_field).
func cutField(s string) (f field, rest string, ok bool) {
	if s == "" {
		return f, "", false
	}
	if s[0] == '[' {
		end := strings.IndexByte(s, ']')
		if end < 0 || end+1 < len(s) && s[end+1] != ':' {
			return f, s, false
		}
		f = field{s[1:end], strings.Contains(s[:end], "/")}
		return f, strings.TrimPrefix(s[end+1:], ":"), true
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return f, s, false
			}
		case '/':
			f.path = true
		case ':':
			f.text = string(out)
			return f, s[i+1:], true
		}
		out = append(out, s[i])
	}
	f.text = string(out)
	return f, "", true
}

// scanForward reads a forwarding in the form of -L, -R or -D; environment
// variables are expanded before anything is taken for a path.
func scanForward(spec string, dynamic, remote bool, env func(string) string) (f Forward, ok bool) {
	expanded, err := expand(spec, "", nil, env)
	if err != nil {
		return f, false
	}
	rest := strings.TrimLeft(expanded, " \t\r\n\f\v")
	var fields []field
	for len(fields) < 4 && rest != "" {
		next, tail, ok := cutField(rest)
		if !ok {
			return f, false
		}
		fields, rest = append(fields, next), tail
	}
	if rest != "" {
		return f, false
	}
	f = Forward{Spec: spec, Dynamic: dynamic}
	if dynamic {
		ok = len(fields) <= 2 && f.listen(fields)
	} else {
		ok = f.both(fields)
	}
	return f, ok && f.fits(remote)
}

// listen fills the listening end from [host:]port or path.
func (f *Forward) listen(fields []field) (ok bool) {
	switch {
	case len(fields) == 1 && fields[0].path:
		f.ListenPath = fields[0].text
	case len(fields) == 1:
		f.bareListen = true
		f.ListenPort, ok = scanPort(fields[0].text)
		return ok
	case len(fields) == 2:
		f.ListenHost = fields[0].text
		f.ListenPort, ok = scanPort(fields[1].text)
		return ok
	default:
		return false
	}
	return true
}

// both splits the fields between the two ends: the last one if it is a path
// (and of three, the first is not), else the last two, are where to connect.
func (f *Forward) both(fields []field) (ok bool) {
	n := len(fields)
	if n < 2 {
		return false
	}
	if fields[n-1].path && n < 4 && !(n == 3 && fields[0].path) {
		f.ConnectPath = fields[n-1].text
		return f.listen(fields[:n-1])
	}
	if n < 3 {
		return false
	}
	f.ConnectHost = fields[n-2].text
	f.ConnectPort, ok = scanPort(fields[n-1].text)
	return ok && f.ConnectPort > 0 && f.listen(fields[:n-2])
}

func (f *Forward) fits(remote bool) bool {
	if f.ListenPath == "" && f.ListenPort == 0 && !remote {
		return false
	}
	return len(f.ConnectHost) < maxHost && len(f.ListenHost) < maxHost &&
		len(f.ConnectPath) < maxSocketPath && len(f.ListenPath) < maxSocketPath
}

// badForward names the option's argument, of which a command line may have many
// (ssh.c, main).
func badForward(l *line, spec string) error {
	if !l.literal {
		return l.badf("Bad forwarding specification.")
	}
	return &badLine{[]string{fmt.Sprintf("Bad %s forwarding specification '%s'", strings.TrimSuffix(l.keyword, "forward"), spec)}}
}

// parseForward keeps the forwarding in the form of -L, -R or -D. Of
// RemoteForward one argument alone means that the server's end speaks SOCKS.
func parseForward(l *line) ([]string, error) {
	spec, err := l.arg()
	if err != nil {
		return nil, l.badf("%v", err)
	}
	remote, dynamic := l.keyword == "remoteforward", l.keyword == "dynamicforward"
	kept := []string{spec}
	target := ""
	if !dynamic { // of which there is none, and one too many is found later
		target, _ = l.next()
	}
	switch {
	case l.literal && remote:
		// -R: two ends if it can be read so, else the server's SOCKS.
		if _, ok := scanForward(spec, false, true, l.env); !ok {
			dynamic = true
		}
	case dynamic || l.literal:
	case target != "":
		spec += ":" + target
		kept = []string{spec}
	case remote:
		dynamic = true
	default:
		return nil, l.badf("Missing target argument.")
	}
	if _, ok := scanForward(spec, dynamic, remote, l.env); !ok {
		return nil, badForward(l, spec)
	}
	if dynamic && remote {
		kept = append(kept, "socks")
	}
	return kept, nil
}
