package sshconf

import (
	"strconv"
	"strings"
)

// A parser takes the arguments of one directive, checks them and returns them
// in the form in which a Config keeps them: yes and no for flags, seconds for
// times. Returning no values and no error leaves the keyword unset. What it
// returns may be part of l.args, or shared: apply copies what is to be kept.
type parser func(l *line) ([]string, error)

// choice accepts one of a set of words, whatever their case, each of which
// stands for the word that is kept. Words is "word" or "word=kept".
func choice(words ...string) parser {
	kept := make(map[string][]string, len(words))
	for _, w := range words {
		word, keep, ok := strings.Cut(w, "=")
		if !ok {
			keep = word
		}
		kept[word] = []string{keep}
	}
	return func(l *line) ([]string, error) {
		arg, ok := l.next()
		if arg == "" {
			return nil, l.badChoice(ok)
		}
		v, ok := kept[lowerASCII(arg)]
		if !ok {
			return nil, l.badf("unsupported option \"%s\".", arg)
		}
		return v, nil
	}
}

// badChoice says what ssh says, twice and with a null pointer, of an argument
// that is empty or not there.
func (l *line) badChoice(there bool) *badLine {
	shown := "(null)"
	if there {
		shown = ""
	}
	return &badLine{msgs: []string{l.text("missing argument."), l.text("unsupported option \"%s\".", shown)}}
}

var parseFlag = choice("yes", "no", "true=yes", "false=no")

func parseString(l *line) ([]string, error) {
	v := l.args
	if _, err := l.arg(); err != nil {
		return nil, l.badf("%v", err)
	}
	return v[:1], nil
}

// parseCommand keeps the rest of the line as it stands, quotes and number signs
// included: it is for a shell to read.
func parseCommand(l *line) ([]string, error) {
	l.args = nil
	if l.literal {
		return []string{l.rest}, nil
	}
	return []string{strings.TrimLeft(l.rest, blanks+"=")}, nil
}

func parseInt(l *line) ([]string, error) {
	arg, _ := l.next()
	n, err := scanInt(arg)
	if err != nil {
		return nil, l.badf("integer value %v.", err)
	}
	return []string{strconv.Itoa(n)}, nil
}

// parseTime reads a time; "none" leaves the keyword unset, so that a later
// line may still set it: that is what ssh does, whatever the manual says.
func parseTime(l *line) ([]string, error) {
	arg, _ := l.next()
	if arg == "" {
		return nil, l.badf("missing time value.")
	}
	if arg == "none" {
		return nil, nil
	}
	n, ok := scanTime(arg)
	if !ok {
		return nil, l.badf("invalid time value.")
	}
	return []string{strconv.Itoa(n)}, nil
}

// parseFlagOrTime is for keywords of muxd's own: yes, no or how long.
func parseFlagOrTime(l *line) ([]string, error) {
	if len(l.args) > 0 {
		if n, ok := scanTime(l.args[0]); ok {
			l.args = l.args[1:]
			return []string{strconv.Itoa(n)}, nil
		}
	}
	return parseFlag(l)
}

func parsePort(l *line) ([]string, error) {
	arg, err := l.arg()
	if err != nil {
		return nil, l.badf("%v", err)
	}
	port, ok := scanPort(arg)
	if !ok || port == 0 {
		return nil, l.badf("Bad port '%s'.", arg)
	}
	return []string{strconv.Itoa(port)}, nil
}

// parseFiles reads a list that may be the single word none.
func parseFiles(l *line) ([]string, error) {
	args := l.all()
	for _, arg := range args {
		if arg == "" {
			return nil, l.badf("keyword %s empty argument", l.keyword)
		}
		if strings.EqualFold(arg, "none") && len(args) > 1 {
			return nil, l.badf("keyword %s \"none\" argument must appear alone.", l.keyword)
		}
	}
	return args, nil
}

// parseList is parseFiles for the keywords where ssh gives up at once when
// nothing is listed.
func parseList(l *line) ([]string, error) {
	args, err := parseFiles(l)
	if err == nil && len(args) == 0 {
		return nil, &abort{l.text("no %s specified", l.keyword)}
	}
	return args, err
}
