package sshconf

import (
	"errors"
	"fmt"
)

var errMissing = errors.New("Missing argument.")

// line is one directive on its way from a file or an option into a Config.
type line struct {
	file    string
	num     int    // 1 is the first; 0 on the command line
	keyword string // lower case, as it was written: perhaps an alias
	rest    string // all that follows the keyword
	args    []string
	option  bool // from the command line
	literal bool // rest is one argument, taken as it stands
	user    bool // from a file of the user's or the command line
	env     func(string) string
}

func (l *line) next() (string, bool) {
	if len(l.args) == 0 {
		return "", false
	}
	arg := l.args[0]
	l.args = l.args[1:]
	return arg, true
}

// arg takes an argument that must be there and not be empty.
func (l *line) arg() (string, error) {
	arg, _ := l.next()
	if arg == "" {
		return "", errMissing
	}
	return arg, nil
}

// all takes every argument left. The copy matters: the evaluator reuses args
// for the next line.
func (l *line) all() []string {
	args := append([]string(nil), l.args...)
	l.args = nil
	return args
}

func (l *line) badf(format string, args ...any) *badLine {
	return &badLine{msgs: []string{l.text(format, args...)}}
}

func (l *line) text(format string, args ...any) string {
	return fmt.Sprintf("%s line %d: %s", l.file, l.num, fmt.Sprintf(format, args...))
}
