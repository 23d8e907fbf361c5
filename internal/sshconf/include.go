package sshconf

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// systemDir is where relative Includes of the system's file are looked for.
const systemDir = "/etc/ssh"

// include evaluates the files of an Include line as if they stood in its
// place, except that a block begun in one ends with it.
func (e *evaluator) include(l *line, s scope, active *bool, depth int) error {
	before := *active
	for _, arg := range l.all() {
		if arg == "" {
			return l.badf("keyword %s empty argument", l.keyword)
		}
		pattern, err := e.includePath(l, s, arg)
		if errors.Is(err, errUnset) {
			e.c.warn(l.text("Unable to expand user config file '%s'", arg))
			continue
		}
		if err != nil {
			return err
		}
		for _, name := range glob(pattern) {
			*active = before
			err := e.includeFile(l, name, s, active, depth)
			*active = before
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *evaluator) includeFile(l *line, name string, s scope, active *bool, depth int) error {
	s.check = true
	s.never = s.never || !*active
	err := e.readFile(name, s, active, depth+1)
	var oe *openError
	if !errors.As(err, &oe) {
		return err
	}
	if errors.Is(oe.err, os.ErrNotExist) {
		return &badLine{} // it was there when the pattern was expanded
	}
	return l.badf("Can't open user config file %s: %v", name, oe.err)
}

// includePath expands and anchors one argument.
func (e *evaluator) includePath(l *line, s scope, arg string) (string, error) {
	t, err := e.tokens()
	if err != nil {
		return "", err
	}
	p, err := expand(arg, connTokens, t.lookup, e.env)
	switch {
	case errors.Is(err, errUnset):
		return "", err
	case err != nil:
		return "", &abort{l.text("Include: %v", err)}
	case strings.HasPrefix(p, "~") && !s.user:
		return "", l.badf("bad include path %s.", p)
	case strings.HasPrefix(p, "~"):
		if q, err := tilde(p, e.in.Home); err == nil {
			return q, nil
		}
		return p, nil // glob(3) leaves an unknown user's ~ as it stands
	case path.IsAbs(p):
		return p, nil
	case s.own:
		return filepath.Join(filepath.Dir(e.in.OwnFile), p), nil
	case s.user:
		return filepath.Join(e.in.Home, ".ssh", p), nil
	}
	return path.Join(systemDir, p), nil
}

// glob lists the files that a pattern names, as glob(3) does: in order, and
// with names that begin with a dot only where the pattern has that dot.
// filepath.Glob would include editors' hidden swap files.
func glob(pattern string) []string {
	found := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range found {
			next = append(next, globPart(dir, part)...)
		}
		found = next
	}
	slices.Sort(found)
	return found
}

func globPart(dir, part string) []string {
	if !strings.ContainsAny(part, "*?[\\") {
		name := path.Join(dir, part)
		if _, err := os.Lstat(name); err != nil {
			return nil
		}
		return []string{name}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	part = strings.ReplaceAll(part, "[!", "[^")
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		if name[0] == '.' && part[0] != '.' {
			continue
		}
		if ok, err := path.Match(part, name); ok || err != nil && part == name {
			names = append(names, path.Join(dir, name))
		}
	}
	return names
}
