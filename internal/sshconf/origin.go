package sshconf

import (
	"fmt"
	"slices"
)

// origin is where a value stands.
type origin struct {
	file string
	line int // 0 is the command line
}

// weight is how much a keyword has been given so far: a first value that stands
// against later ones adds to it, and so does each one of a list.
func (c *Config) weight(k *keyword) int {
	return len(c.values[k.name]) + len(c.files[k.name])
}

// decided notes the line that decided about a keyword, the first of several.
func (c *Config) decided(k *keyword, l *line) {
	if c.origins == nil {
		c.origins = map[string]origin{}
	}
	if _, had := c.origins[k.name]; !had {
		c.origins[k.name] = origin{l.file, l.num}
	}
}

// Decided returns the keywords that a line of a file or of the command line has
// decided about, in alphabetical order, in lower case.
func (c *Config) Decided() []string {
	var names []string
	for name := range c.origins {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Origin is where a keyword got its value, or its first one: "FILE line N", or
// "the command line"; "" where it has its default.
func (c *Config) Origin(name string) string {
	k := keywords[lowerASCII(name)]
	if k == nil {
		return ""
	}
	o, ok := c.origins[k.name]
	switch {
	case !ok:
		return ""
	case o.line == 0:
		return "the command line"
	}
	return fmt.Sprintf("%s line %d", o.file, o.line)
}
