package sshconf

import (
	"slices"
	"strings"
)

// A storer files what a parser returned from a line that applies. Files are
// read from the most to the least particular, so most keep what is there.
type storer func(c *Config, k *keyword, v []string, l *line) error

// keep copies what a parser returned: the slice may be shared, and a string that
// is part of a file would keep all of that file in memory for as long as muxd
// knows the destination.
func keep(v []string) []string {
	out := make([]string, len(v))
	for i, s := range v {
		out[i] = strings.Clone(s)
	}
	return out
}

// maxFiles is SSH_MAX_IDENTITY_FILES and SSH_MAX_CERTIFICATE_FILES.
const maxFiles = 100

func first(c *Config, k *keyword, v []string, l *line) error {
	if _, set := c.values[k.name]; !set && len(v) > 0 {
		c.values[k.name] = v
		if l.literal {
			c.literal[k.name] = true
		}
	}
	return nil
}

// last is for the one keyword where ssh takes the last value.
func last(c *Config, k *keyword, v []string, _ *line) error {
	c.values[k.name] = v
	return nil
}

// firstAlone drops all but the first of several arguments, as ssh does for
// LogVerbose (readconf.c looks whether the list is empty before each of them).
func firstAlone(c *Config, k *keyword, v []string, l *line) error {
	return first(c, k, v[:min(len(v), 1)], l)
}

// maxKnownHosts is SSH_MAX_HOSTS_FILES.
const maxKnownHosts = 32

func firstHosts(c *Config, k *keyword, v []string, l *line) error {
	if _, set := c.values[k.name]; !set && len(v) > maxKnownHosts {
		return l.badf("too many %s entries.", l.keyword)
	}
	return first(c, k, v, l)
}

// firstOrOff remembers that a time was asked to be none, which leaves the
// keyword unset to ssh, but is not the silence of somebody who said nothing.
func firstOrOff(c *Config, k *keyword, v []string, l *line) error {
	if len(v) == 0 {
		c.off[k.name] = true
	}
	return first(c, k, v, l)
}

// firstOfEach lets the first value win for every position of its own:
// RekeyLimit's bytes and time, ForwardAgent's yes and socket.
func firstOfEach(c *Config, k *keyword, v []string, _ *line) error {
	if have := c.values[k.name]; len(have) < len(v) {
		c.values[k.name] = slices.Concat(have, v[len(have):])
	}
	return nil
}

// firstProxy makes ProxyCommand and ProxyJump one choice, as ssh does: the
// first of both wins, but ProxyJump none leaves ProxyCommand open.
func firstProxy(c *Config, k *keyword, v []string, l *line) error {
	_, jump := c.values["proxyjump"]
	_, command := c.values["proxycommand"]
	jump = jump && c.str("proxyjump") != "none"
	if k.name == "proxycommand" && jump {
		return nil
	}
	if k.name == "proxyjump" && command && v[0] != "none" {
		return nil
	}
	return first(c, k, v, l)
}

func refuse(_ *Config, _ *keyword, v []string, l *line) error {
	return &abort{l.text("RefuseConnection: %s", v[0])}
}

// gatherFiles appends; a name that is there already, from the same kind of
// source, is not repeated.
func gatherFiles(c *Config, k *keyword, v []string, l *line) error {
	files := c.files[k.name]
	if len(files) >= maxFiles {
		kind := map[string]string{"identityfile": "identity", "certificatefile": "certificate"}[k.name]
		return l.badf("Too many %s files specified (max %d).", kind, maxFiles)
	}
	source := fileSource{k.name, v[0], l.user, l.literal}
	if !c.sources[source] {
		c.sources[source] = true
		c.files[k.name] = append(files, File{Path: v[0], FromUser: l.user})
	}
	return nil
}

// fileSource is what ssh tells files apart by: -i and a configuration file may
// both name the same one, and ssh -G then prints it twice.
type fileSource struct {
	keyword, path string
	user, flag    bool
}

// gatherEnv appends patterns; -pattern removes what was gathered before it.
func gatherEnv(c *Config, k *keyword, v []string, _ *line) error {
	list := c.values[k.name]
	for _, name := range v {
		if pattern, remove := strings.CutPrefix(name, "-"); remove {
			list = slices.DeleteFunc(list, func(s string) bool { return match(s, pattern) })
		} else {
			list = append(list, name)
		}
	}
	c.values[k.name] = list
	return nil
}

// gatherForwards appends; the same forward twice is one.
func gatherForwards(c *Config, k *keyword, v []string, l *line) error {
	remote := k.name == "remoteforward"
	f, ok := scanForward(v[0], k.name == "dynamicforward" || len(v) > 1, remote, l.env)
	if !ok {
		return l.badf("Bad forwarding specification.")
	}
	list := &c.localForwards
	if remote {
		list = &c.remoteForwards
	}
	for _, have := range *list {
		if have.same(f) {
			return nil
		}
	}
	*list = append(*list, f)
	return nil
}

func (f Forward) same(g Forward) bool {
	f.Spec, g.Spec = "", ""
	return f == g
}
