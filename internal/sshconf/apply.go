package sshconf

import "fmt"

// apply carries out one line. Lines of a block that does not apply are checked
// all the same, so that a typing error is found on the day it is made.
func (e *evaluator) apply(l *line, s scope, active *bool, depth int) error {
	if l.rest == "" {
		return l.badf("no argument after keyword \"%s\"", l.keyword)
	}
	k, msgs := e.lookup(l, s)
	if err := e.split(l); err != nil {
		return &badLine{append(msgs, l.text("%v", err))}
	}
	switch {
	case msgs != nil:
		return &badLine{msgs}
	case k == nil || k.class == ignored:
		return nil
	case k.class == unsupported:
		e.c.warn(l.text("Unsupported option \"%s\"", l.keyword))
		return nil
	case k.class == special:
		return e.special(l, s, active, depth)
	}
	v, err := k.parse(l)
	if err != nil {
		return err
	}
	if *active || k.anywhere {
		before := e.c.weight(k)
		if err := k.store(e.c, k, keep(v), l); err != nil {
			return err
		}
		if e.c.weight(k) > before {
			e.c.decided(k, l)
		}
	}
	return trailing(l)
}

// lookup finds the keyword, or says what is wrong with it. IgnoreUnknown makes
// an unknown one nothing; one of muxd's it makes a known one, since ssh is then
// told to look away.
func (e *evaluator) lookup(l *line, s scope) (*keyword, []string) {
	k := keywords[l.keyword]
	if k != nil && (k.class != own || s.own) {
		return k, nil
	}
	if list := e.c.str("ignoreunknown"); list != "" && matchList(l.keyword, list, true) == matched {
		return k, nil
	}
	return nil, []string{fmt.Sprintf("%s: line %d: Bad configuration option: %s", l.file, l.num, l.keyword)}
}

func (e *evaluator) split(l *line) (err error) {
	if l.literal {
		e.args = append(e.args[:0], l.rest)
	} else {
		e.args, err = splitArgs(e.args[:0], l.rest, true)
	}
	l.args, l.env = e.args, e.env
	return err
}

func trailing(l *line) error {
	if len(l.args) > 0 {
		return l.badf("keyword %s extra arguments at end of line", l.keyword)
	}
	return nil
}

func (e *evaluator) special(l *line, s scope, active *bool, depth int) error {
	if l.option {
		name := map[string]string{"host": "Host", "match": "Match", "include": "Include"}[l.keyword]
		return &badLine{[]string{name + " directive not supported as a command-line option"}}
	}
	switch l.keyword {
	case "host":
		return e.hostBlock(l, s, active)
	case "match":
		return e.matchBlock(l, s, active)
	}
	return e.include(l, s, active, depth)
}

// hostBlock begins a block that applies if one of its patterns matches and no
// negated one does. The case of letters counts, in ssh too.
func (e *evaluator) hostBlock(l *line, s scope, active *bool) error {
	*active = false
	for _, pattern := range l.args {
		if pattern == "" {
			return l.badf("keyword %s empty argument", l.keyword)
		}
		if s.never {
			return nil
		}
		negated := pattern[0] == '!'
		if negated {
			pattern = pattern[1:]
		}
		if !match(e.host, pattern) {
			continue
		}
		*active = !negated
		if negated {
			return nil
		}
	}
	return nil
}
