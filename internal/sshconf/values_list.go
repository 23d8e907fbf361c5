package sshconf

import (
	"fmt"
	"strconv"
	"strings"
)

// eachWord is for the lists that ssh refuses outright when they are empty. Alone
// are the words that may only stand by themselves; check judges the others and
// says what to keep.
func eachWord(l *line, check func(arg string) (string, error), alone ...string) ([]string, error) {
	args := l.all()
	kept := make([]string, len(args))
	for i, arg := range args {
		kept[i] = arg
		isAlone := false
		for _, word := range alone {
			isAlone = isAlone || strings.EqualFold(arg, word)
		}
		switch {
		case isAlone && len(args) > 1:
			return nil, l.badf("keyword %s \"%s\" argument must appear alone.", l.keyword, arg)
		case isAlone:
			return kept, nil
		}
		var err error
		if kept[i], err = check(arg); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// none is a list that has nothing in it, which ends the reading.
func (l *line) none(v []string, err error) ([]string, error) {
	if err == nil && len(v) == 0 {
		return nil, &abort{l.text("no %s specified", l.keyword)}
	}
	return v, err
}

func parseDomains(l *line) ([]string, error) {
	v, err := eachWord(l, func(arg string) (string, error) {
		name, err := validDomain(arg, true)
		if err != nil {
			return "", l.badf("%v", err)
		}
		return name, nil
	}, "none")
	if len(v) == 1 && err == nil {
		v[0] = lowerASCII(v[0]) // none in its one spelling
	}
	return l.none(v, err)
}

// validDomain checks a domain name, takes its last dot away and, if lower is
// true, folds its case (misc.c, valid_domain). In the error the name is folded
// as far as it was good, as in ssh.
func validDomain(s string, lower bool) (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789_"
	low, show := lowerASCII(s), func(int) string { return s }
	if lower {
		show = func(i int) string { return low[:i+1] + s[i+1:] }
	}
	switch {
	case s == "":
		return "", fmt.Errorf("empty domain name")
	case strings.IndexByte(letters, low[0]) < 0:
		return "", fmt.Errorf("domain name \"%.100s\" starts with invalid character", s)
	}
	for i := range len(low) {
		switch {
		case low[i] == '.' && low[i-1] == '.':
			return "", fmt.Errorf("domain name \"%.100s\" contains consecutive separators", show(i))
		case strings.IndexByte(letters+".-", low[i]) < 0:
			return "", fmt.Errorf("domain name \"%.100s\" contains invalid characters", show(i))
		}
	}
	return strings.TrimSuffix(show(len(s)-1), "."), nil
}

// parseCNAMEs keeps source:target pairs of pattern lists; * is *:*.
func parseCNAMEs(l *line) ([]string, error) {
	v, err := eachWord(l, func(arg string) (string, error) {
		if arg == "*" {
			return "*:*", nil
		}
		arg = lowerASCII(arg)
		if _, target, _ := strings.Cut(arg, ":"); target == "" {
			return "", l.badf("Invalid permitted CNAME \"%s\"", arg)
		}
		return arg, nil
	}, "none")
	return l.none(v, err)
}

// parseChannelTimeouts checks type=interval pairs.
func parseChannelTimeouts(l *line) ([]string, error) {
	v, err := eachWord(l, func(arg string) (string, error) {
		kind, interval, _ := strings.Cut(arg, "=")
		if _, ok := scanTime(interval); kind == "" || !ok {
			return "", &abort{l.text("invalid channel timeout %s", arg)}
		}
		return arg, nil
	}, "none")
	return l.none(v, err)
}

// parseOpens checks the host:port pairs of PermitRemoteOpen; the port may be *.
func parseOpens(l *line) ([]string, error) {
	v, err := eachWord(l, func(arg string) (string, error) {
		_, port, ok := cutHost(arg)
		if !ok {
			return "", &abort{l.text("missing host in %s", l.keyword)}
		}
		if n, ok := scanPort(port); port != "*" && (!ok || n == 0) {
			return "", &abort{l.text("bad port number in %s", l.keyword)}
		}
		return arg, nil
	}, "none", "any")
	if err == nil && len(v) == 0 {
		return nil, &abort{l.text("missing %s specification", l.keyword)}
	}
	return v, err
}

// parseAddKeys keeps yes, no, ask or confirm, then the seconds of a lifetime.
func parseAddKeys(l *line) ([]string, error) {
	arg, _ := l.next()
	life, timed := l.next()
	word, _ := parseYesNoAskConfirm(&line{args: []string{arg}})
	switch {
	case word == nil && !timed:
		if n, ok := scanTime(arg); ok {
			return []string{"yes", strconv.Itoa(n)}, nil
		}
	case timed && word != nil && word[0] == "confirm":
		n, ok := scanTime(life)
		if !ok {
			return nil, l.badf("invalid time value.")
		}
		return []string{"confirm", strconv.Itoa(n)}, nil
	case word != nil && !timed:
		return []string{word[0], "0"}, nil
	}
	bad := l.badf("unsupported option")
	if arg == "" {
		bad.msgs = append([]string{l.text("missing argument.")}, bad.msgs...)
	}
	return nil, bad
}

// keystrokeDefault is what yes stands for in ObscureKeystrokeTiming, in
// milliseconds; ssh -G prints it as yes.
const keystrokeDefault = 20

// parseKeystrokes keeps yes, no or a number of milliseconds.
func parseKeystrokes(l *line) ([]string, error) {
	if len(l.args) == 0 {
		return nil, l.badf("missing argument")
	}
	args := l.all()
	kept := ""
	switch arg := args[0]; arg {
	case "yes", "true":
		kept = "yes"
	case "no", "false":
		kept = "no"
	default:
		text, ok := strings.CutPrefix(arg, "interval:")
		if !ok {
			return nil, l.badf("unsupported argument \"%s\"", arg)
		}
		n, err := scanInt(text)
		if err != nil {
			return nil, l.badf("integer value %v.", err)
		}
		if n == 0 || n > 1000 {
			return nil, l.badf("value out of range.")
		}
		if kept = strconv.Itoa(n); n == keystrokeDefault {
			kept = "yes"
		}
	}
	if len(args) > 1 {
		return nil, l.badf("invalid arguments")
	}
	return []string{kept}, nil
}
