package sshconf

import (
	"slices"
	"strings"
)

// matchBlock begins a block that applies if all of its criteria do.
func (e *evaluator) matchBlock(l *line, s scope, active *bool) error {
	m := &matcher{e: e, l: l, never: s.never, result: true}
	if err := m.run(); err != nil {
		return err
	}
	*active = m.result && !s.never
	return trailing(l)
}

// matcher evaluates one Match line. Every criterion is checked for its form,
// also behind one that failed; Exec and LocalNetwork are then not asked.
type matcher struct {
	e      *evaluator
	l      *line
	never  bool
	result bool
	seen   int // criteria, without all
}

func (m *matcher) run() error {
	for {
		word, ok := m.l.next()
		if !ok || strings.HasPrefix(word, "#") {
			m.l.args = nil
			break
		}
		name, negated := strings.CutPrefix(word, "!")
		if strings.EqualFold(name, "all") {
			return m.all(word, negated)
		}
		m.seen++
		ok, err := m.criterion(name, word, negated)
		if err != nil {
			return err
		}
		if ok == negated {
			m.result = false
		}
	}
	if m.seen == 0 {
		return m.bad("One or more attributes required for Match")
	}
	return nil
}

// all must be the last criterion and may have one other before it.
func (m *matcher) all(word string, negated bool) error {
	next, _ := m.l.next()
	if m.seen > 1 || next != "" && next[0] != '#' {
		return m.bad(m.l.text("'%s' cannot be combined with other Match attributes", word))
	}
	if next != "" {
		m.l.args = nil
	}
	m.result = m.result && !negated
	return nil
}

func (m *matcher) criterion(name, word string, negated bool) (bool, error) {
	switch lowerASCII(name) {
	case "canonical":
		// ssh has one flag for both words: a second pass is always made with the
		// final host name, canonicalised or not (readconf.c, SSHCONF_FINAL).
		return m.e.final, nil
	case "final":
		// In the second pass there is no third to wish for.
		m.e.wantFinal = m.e.wantFinal || !negated
		return m.e.final, nil
	}
	name, arg, ok := joined(name)
	if !ok {
		if arg, ok = m.l.next(); !ok {
			return false, m.bad(m.l.text("missing argument for Match '%s'", word))
		}
	}
	lower := lowerASCII(name)
	if arg == "" && lower != "tagged" && lower != "command" || strings.HasPrefix(arg, "#") {
		return false, m.bad("Missing Match criteria for " + name)
	}
	if !slices.Contains(criteria, lower) {
		return false, m.bad("Unsupported Match attribute " + name)
	}
	return m.compare(lower, arg)
}

// criteria are those with an argument.
var criteria = words("host originalhost user localuser localnetwork version tagged command sessiontype exec")

// joined takes name=argument apart. ssh 10.5 forgot sessiontype, which its
// manual has like the others.
func joined(word string) (name, arg string, ok bool) {
	name, arg, ok = strings.Cut(word, "=")
	if ok && slices.Contains(criteria, lowerASCII(name)) {
		return name, arg, true
	}
	return word, "", false
}

func (m *matcher) compare(name, arg string) (bool, error) {
	e := m.e
	switch name {
	case "host":
		host, err := e.currentHost()
		return err == nil && matchHost(host, arg), err
	case "originalhost":
		return matchHost(e.in.Host, arg), nil
	case "user":
		return matchList(e.user(), arg, false) == matched, nil
	case "localuser":
		return matchList(e.in.LocalUser, arg, false) == matched, nil
	case "version":
		return matchList(Version, arg, false) == matched, nil
	case "tagged":
		return matchOrEmpty(e.c.str("tag"), arg), nil
	case "command":
		return matchOrEmpty(e.in.Command, arg), nil
	case "sessiontype":
		return matchList(m.sessionType(), arg, false) == matched, nil
	case "localnetwork":
		return m.localNetwork(arg)
	default: // exec
		return m.exec(arg)
	}
}

// matchOrEmpty lets an empty value match an empty pattern and nothing else.
func matchOrEmpty(value, pattern string) bool {
	if value == "" {
		return pattern == ""
	}
	return matchList(value, pattern, false) == matched
}

func (m *matcher) sessionType() string {
	t := m.e.c.str("sessiontype")
	switch {
	case t == "subsystem" || t == "none":
		return t
	case m.e.in.Command != "":
		return "exec"
	}
	return "shell"
}

func (m *matcher) bad(msgs ...string) *badLine {
	return &badLine{append(msgs, m.l.text("Bad Match condition"))}
}
