package sshconf

import (
	"slices"
	"strconv"
	"strings"
)

// finish checks what ssh checks once all is read, and does the expansions, so
// that no accessor can fail.
func (e *evaluator) finish() error {
	c := e.c
	c.in, c.stamp = *e.in, e.stamps.sum()
	// All has been asked, and a Config is kept for longer than whoever answers.
	c.in.Exec, c.in.Lookup, c.in.LocalNetwork = nil, nil, nil
	if v := c.values["hostkeyalias"]; v != nil {
		c.values["hostkeyalias"] = []string{lowerASCII(v[0])}
	}
	if err := e.consistent(); err != nil {
		return err
	}
	e.depending()
	for _, step := range []func() error{e.settleUser, e.expandValues, e.expandFiles, e.expandForwards, e.expandAgents, e.expandProxy} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// settleUser expands User, which HostName and the alias may be part of, and
// fixes the tokens for all that comes after.
func (e *evaluator) settleUser() error {
	t, err := e.tokens()
	if err != nil {
		return err
	}
	if e.c.str("hostkeyalias") == "" {
		t.alias = e.in.Host // while reading, ssh has the resolved host here
	}
	configured := e.c.str("user")
	onCommandLine := e.c.literal["user"]
	if configured != "" && !onCommandLine {
		if t.user, err = expand(configured, userTokens, t.lookup, e.env); err != nil {
			return fatalf("user: %v", err)
		}
	}
	if (onCommandLine || configured != "" && t.user != configured) && !validUser(t.user) {
		return fatalf("remote username contains invalid characters")
	}
	e.c.tokens = *t
	e.c.replace("user", []string{t.user})
	return nil
}

// replace puts the expanded values of a keyword in place and keeps those that
// were configured for Get.
func (c *Config) replace(name string, v []string) {
	if c.raw == nil {
		c.raw = map[string][]string{}
	}
	c.raw[name] = c.values[name]
	c.values[name] = v
}

// expandValues does the plain keywords. RemoteCommand and SetEnv are no paths:
// the tilde is the remote shell's, and so is a command's environment.
func (e *evaluator) expandValues() error {
	t := &e.c.tokens
	for _, name := range []string{"controlpath", "revokedhostkeys", "userknownhostsfile"} {
		if err := e.each(name, func(s string) (string, error) { return e.file(s, t) }); err != nil {
			return err
		}
	}
	if err := e.each("versionaddendum", func(s string) (string, error) {
		return expand(s, connTokens, t.lookup, e.env)
	}); err != nil {
		return err
	}
	err := e.each("remotecommand", func(s string) (string, error) {
		return expand(s, connTokens, t.lookup, nil)
	})
	if err != nil {
		return err
	}
	return e.each("setenv", func(s string) (string, error) {
		name, value, _ := strings.Cut(s, "=")
		value, err := expand(value, connTokens, t.lookup, e.env)
		return name + "=" + value, err
	})
}

func (e *evaluator) each(name string, f func(string) (string, error)) error {
	values, set := e.c.values[name]
	if !set || lowerASCII(values[0]) == "none" {
		return nil
	}
	out := make([]string, len(values))
	for i, s := range values {
		var err error
		if out[i], err = f(s); err != nil {
			return fatalf("%s: %v", name, err)
		}
	}
	e.c.replace(name, out)
	return nil
}

// defaultIdentities are what ssh tries when no IdentityFile is set, in its
// order.
var defaultIdentities = []string{
	"~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ecdsa_sk",
	"~/.ssh/id_ed25519", "~/.ssh/id_ed25519_sk", "~/.ssh/id_mldsa44_ed25519",
}

func (e *evaluator) expandFiles() (err error) {
	identities := e.c.files["identityfile"]
	if len(identities) == 0 {
		for _, path := range defaultIdentities {
			identities = append(identities, File{Path: path})
		}
	}
	if e.c.identities, err = e.paths("identityfile", identities); err != nil {
		return err
	}
	e.c.certificates, err = e.paths("certificatefile", e.c.files["certificatefile"])
	return err
}

func (e *evaluator) paths(name string, files []File) ([]File, error) {
	var out []File
	for _, f := range files {
		if name == "identityfile" && lowerASCII(f.Path) == "none" {
			continue
		}
		path, err := e.file(f.Path, &e.c.tokens)
		if err != nil {
			return nil, fatalf("%s: %v", name, err)
		}
		if file := (File{Path: path, FromUser: f.FromUser}); !slices.Contains(out, file) {
			out = append(out, file)
		}
	}
	return out, nil
}

// expandForwards does the paths of Unix sockets; names and ports have no tokens.
func (e *evaluator) expandForwards() error {
	for _, list := range [][]Forward{e.c.localForwards, e.c.remoteForwards} {
		for i := range list {
			for _, path := range []*string{&list[i].ListenPath, &list[i].ConnectPath} {
				s, err := expand(*path, connTokens, e.c.tokens.lookup, nil)
				if err != nil {
					return fatalf("forward %s: %v", list[i].Spec, err)
				}
				*path = s
			}
		}
	}
	return nil
}

// expandProxy does ProxyCommand or ProxyJump, whichever was first.
func (e *evaluator) expandProxy() (err error) {
	c := e.c
	if c.proxyCommand, err = expand(c.textOrNone("proxycommand"), proxyTokens, c.tokens.lookup, nil); err != nil {
		return fatalf("proxycommand: %v", err)
	}
	spec := c.textOrNone("proxyjump")
	if spec == "" {
		return nil
	}
	jumps, err := scanJumps(spec, false)
	if err != nil {
		return fatalf("proxyjump %s: %v", spec, err)
	}
	for i := range jumps {
		for _, s := range []*string{&jumps[i].User, &jumps[i].Host} {
			if *s, err = expand(*s, proxyTokens, c.tokens.lookup, nil); err != nil {
				return fatalf("proxyjump: %v", err)
			}
		}
	}
	c.jumps = jumps
	return c.jumpLoop(jumps[len(jumps)-1])
}

// jumpLoop refuses to reach a host through itself.
func (c *Config) jumpLoop(last Jump) error {
	port, user := last.Port, last.User
	if port == 0 {
		port = defaultPort
	}
	if user == "" {
		user = c.tokens.user
	}
	if last.Host == c.tokens.host && strconv.Itoa(port) == c.tokens.port && user == c.tokens.user {
		return fatalf("jumphost loop via %s", last.Host)
	}
	return nil
}

// expandAgents settles which agents IdentityAgent and ForwardAgent mean.
func (e *evaluator) expandAgents() error {
	var err error
	if e.c.identityAgent, err = e.agent(e.c.str("identityagent")); err != nil {
		return fatalf("identityagent: %v", err)
	}
	if path := e.c.identityAgent.Configured; path != "" {
		e.c.replace("identityagent", []string{path})
	}
	socket := ""
	if v := e.c.values["forwardagent"]; len(v) > 1 {
		socket = v[1]
	}
	if e.c.forwardAgent, err = e.agent(socket); err != nil {
		return fatalf("forwardagent: %v", err)
	}
	return nil
}
