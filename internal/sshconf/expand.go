package sshconf

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"
)

// The sets of tokens that ssh_config(5), TOKENS, allows to keywords.
const (
	connTokens  = "CLdhijklnpru" // most keywords
	userTokens  = "Ldhijklnpu"   // User, which is itself part of %C
	proxyTokens = "hknpr"        // ProxyCommand and ProxyJump
	hostTokens  = "h"            // HostName
)

// errUnset is an environment variable that is not there: the one failure of an
// expansion for which ssh only passes over an Include.
var errUnset = errors.New("has no value")

// tokens are the facts behind the percent tokens.
type tokens struct {
	host, original, port, user, jump, alias string
	home, localUser, localHost, uid         string
}

func (t *tokens) lookup(c byte) string {
	switch c {
	case 'C':
		return t.hash()
	case 'L':
		short, _, _ := strings.Cut(t.localHost, ".")
		return short
	case 'd':
		return t.home
	case 'h':
		return t.host
	case 'i':
		return t.uid
	case 'j':
		return t.jump
	case 'k':
		return t.alias
	case 'l':
		return t.localHost
	case 'n':
		return t.original
	case 'p':
		return t.port
	case 'r':
		return t.user
	case 'u':
		return t.localUser
	}
	return ""
}

// hash is %C: short enough for a socket's path, and equal to the one that ssh
// computes, so that both mean the same file.
func (t *tokens) hash() string {
	sum := sha1.Sum([]byte(t.localHost + t.host + t.port + t.user + t.jump))
	return hex.EncodeToString(sum[:])
}

// expand replaces %% and those tokens of allowed, if there are any, and
// ${NAME}, if env is not nil. What a variable holds is not expanded again.
func expand(s, allowed string, lookup func(byte) string, env func(string) string) (string, error) {
	if !strings.ContainsAny(s, "%$") {
		return s, nil
	}
	var out strings.Builder
	var unset error
	for i := 0; i < len(s); i++ {
		switch {
		case env != nil && strings.HasPrefix(s[i:], "${"):
			name, _, ok := strings.Cut(s[i+2:], "}")
			if !ok || name == "" {
				return "", fmt.Errorf("%q: ${ is not followed by a name and }", s)
			}
			value := env(name)
			if value == "" {
				unset = fmt.Errorf("environment variable ${%s} %w", name, errUnset)
			}
			out.WriteString(value)
			i += len(name) + 2
		case s[i] != '%' || allowed == "":
			out.WriteByte(s[i])
		case i+1 == len(s):
			return "", fmt.Errorf("%q ends in %%: write %%%% for a percent sign", s)
		case s[i+1] == '%':
			out.WriteByte('%')
			i++
		case strings.IndexByte(allowed, s[i+1]) >= 0:
			out.WriteString(lookup(s[i+1]))
			i++
		default:
			return "", fmt.Errorf("%q: unknown token %%%c (only %%%% and %%%s are known here)",
				s, s[i+1], strings.Join(strings.Split(allowed, ""), " %"))
		}
	}
	return out.String(), unset
}

// tilde replaces ~ and ~name at the start of a path.
func tilde(path, home string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok {
		return path, nil
	}
	name, tail, _ := strings.Cut(rest, "/")
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return "", fmt.Errorf("%s: no such user %s", path, name)
		}
		home = u.HomeDir
	}
	return strings.TrimSuffix(home, "/") + "/" + strings.TrimLeft(tail, "/"), nil
}

// file expands what most path keywords allow: ~, tokens and environment.
func (e *evaluator) file(s string, t *tokens) (string, error) {
	s, err := tilde(s, e.in.Home)
	if err != nil {
		return "", err
	}
	return expand(s, connTokens, t.lookup, e.env)
}

func (e *evaluator) env(name string) string {
	if e.in.Env == nil {
		return ""
	}
	return e.in.Env(name)
}

// tokens are the facts as they are known so far: while files are being read
// neither HostName nor User need be final (readconf.c,
// expand_match_exec_or_include_path).
func (e *evaluator) tokens() (*tokens, error) {
	host, err := e.currentHost()
	if err != nil {
		return nil, err
	}
	alias := e.c.str("hostkeyalias")
	if alias == "" {
		alias = host
	}
	return &tokens{
		host: host, original: e.in.Host, port: strconv.Itoa(e.c.Port()), user: e.user(),
		jump: lastJump(e.c.str("proxyjump")), alias: alias,
		home: e.in.Home, localUser: e.in.LocalUser, localHost: e.in.LocalHost, uid: strconv.Itoa(e.in.UID),
	}, nil
}

// lastJump is what %j stands for: the host part of the hop that connects to
// the destination.
func lastJump(spec string) string {
	if spec == "" || spec == "none" {
		return ""
	}
	jumps, err := scanJumps(spec, false)
	if err != nil {
		return ""
	}
	return jumps[len(jumps)-1].Host
}
