package sshconf

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is the answer: every keyword as it applies to the destination, with
// ssh's defaults where nothing was said and with all expansions done. It is
// immutable; slices that accessors return must not be written to.
type Config struct {
	// The fields following are written by Resolve only.
	in       Input
	values   map[string][]string // by canonical keyword; of settled ones, expanded
	raw      map[string][]string // what values held before expansion
	literal  map[string]bool     // came as one argument of a flag
	off      map[string]bool     // a time that was asked to be none
	files    map[string][]File   // identityfile and certificatefile, as written
	sources  map[fileSource]bool // the ones in files
	stamp    string
	warnings []string
	origins  map[string]origin // of the first value of a keyword

	identities, certificates    []File
	localForwards               []Forward // dynamic ones too, in order
	remoteForwards              []Forward
	jumps                       []Jump
	proxyCommand                string
	tokens                      tokens
	identityAgent, forwardAgent Agent
}

// File is a key or certificate to be loaded.
type File struct {
	Path string
	// FromUser says that the user named it, on the command line or in a file
	// of the user's; ssh complains about the absence of such a file only.
	FromUser bool
}

func newConfig() *Config {
	return &Config{
		values: map[string][]string{}, literal: map[string]bool{}, off: map[string]bool{}, files: map[string][]File{},
		sources: map[fileSource]bool{},
	}
}

// IsSet reports a keyword that was set to anything but no and none.
func (c *Config) IsSet(name string) bool {
	v, set := c.Get(name)
	return set && len(v) > 0 && !strings.EqualFold(v[0], "none") && v[0] != "no"
}

// Get returns the arguments of a keyword as the files or the command line have
// them (yes and no for flags, seconds for times, forwards in the form of -L)
// and whether it was set at all; case and aliases do not matter.
func (c *Config) Get(name string) (values []string, set bool) {
	k := keywords[lowerASCII(name)]
	if k == nil {
		return nil, false
	}
	switch k.name {
	case "identityfile", "certificatefile":
		for _, f := range c.files[k.name] {
			values = append(values, f.Path)
		}
		return values, len(values) > 0
	case "localforward", "dynamicforward":
		return specs(c.localForwards, k.name == "dynamicforward")
	case "remoteforward":
		return specs(c.remoteForwards, false, true)
	}
	if v, ok := c.raw[k.name]; ok {
		return v, len(v) > 0
	}
	v, ok := c.values[k.name]
	return v, ok
}

func specs(forwards []Forward, kinds ...bool) (list []string, set bool) {
	for _, f := range forwards {
		if slices.Contains(kinds, f.Dynamic) {
			list = append(list, f.Spec)
		}
	}
	return list, len(list) > 0
}

// Known reports whether ssh or muxd knows the keyword; case does not matter.
func Known(name string) bool { return keywords[lowerASCII(name)] != nil }

// Own reports whether the keyword is muxd's own, which ssh must not be shown.
func Own(name string) bool {
	k := keywords[lowerASCII(name)]
	return k != nil && k.class == own
}

// Warnings are the remarks that ssh prints without failing, in its words.
func (c *Config) Warnings() []string { return c.warnings }

func (c *Config) warn(msg string) {
	if !slices.Contains(c.warnings, msg) {
		c.warnings = append(c.warnings, msg)
	}
}

// str is the first value of a keyword, "" if there is none.
func (c *Config) str(name string) string {
	if v := c.values[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// textOrNone is str for keywords where none means that there is no value.
func (c *Config) textOrNone(name string) string {
	if v := c.str(name); lowerASCII(v) != "none" {
		return v
	}
	return ""
}

func (c *Config) choice(name, def string) string {
	if v := c.str(name); v != "" {
		return v
	}
	return def
}

func (c *Config) flag(name string, def bool) bool {
	if v := c.str(name); v != "" {
		return v == "yes"
	}
	return def
}

func (c *Config) number(name string, def int) (n int, set bool) {
	n, err := strconv.Atoi(c.str(name))
	if err != nil {
		return def, false
	}
	return n, true
}

func (c *Config) time(name string) (d time.Duration, set bool) {
	v := c.str(name)
	return seconds(v), v != ""
}
