package sshconf

import (
	"strconv"
	"strings"
)

var (
	// Silent is Debian's.
	parseLevelWord = choice("silent=QUIET", "quiet=QUIET", "fatal=FATAL", "error=ERROR", "info=INFO", "verbose=VERBOSE",
		"debug=DEBUG", "debug1=DEBUG", "debug2=DEBUG2", "debug3=DEBUG3")
	parseControlMaster = choice("yes", "true=yes", "no", "false=no", "auto", "ask", "autoask")
	parseSessionType   = choice("none", "subsystem", "default")
	parseRequestTTY    = choice("yes", "true=yes", "no", "false=no", "force", "auto")
)

func parseLogLevel(l *line) ([]string, error) {
	arg := "<NONE>"
	if len(l.args) > 0 {
		arg = l.args[0]
	}
	v, err := parseLevelWord(l)
	if err != nil {
		return nil, l.badf("unsupported log level '%s'", arg)
	}
	return v, nil
}

// parseEscape keeps the character as a decimal number, or none.
func parseEscape(l *line) ([]string, error) {
	arg, err := l.arg()
	if err != nil {
		return nil, l.badf("%v", err)
	}
	switch {
	case arg == "none":
		return []string{"none"}, nil
	case len(arg) == 1:
		return []string{strconv.Itoa(int(arg[0]))}, nil
	case len(arg) == 2 && arg[0] == '^' && arg[1] >= 64 && arg[1] < 128:
		return []string{strconv.Itoa(int(arg[1] & 31))}, nil
	}
	return nil, l.badf("Bad escape character.")
}

// parsePersist keeps no, yes or a number of seconds; 0 seconds is yes.
func parsePersist(l *line) ([]string, error) {
	arg, _ := l.next()
	switch arg {
	case "":
		return nil, l.badf("Missing ControlPersist argument.")
	case "no", "false":
		return []string{"no"}, nil
	case "yes", "true":
		return []string{"yes"}, nil
	}
	n, ok := scanTime(arg)
	switch {
	case !ok:
		return nil, l.badf("Bad ControlPersist argument.")
	case n == 0:
		return []string{"yes"}, nil
	}
	return []string{strconv.Itoa(n)}, nil
}

func parseSendEnv(l *line) ([]string, error) {
	args := l.all()
	for _, arg := range args {
		if arg == "" || strings.Contains(arg, "=") {
			return nil, l.badf("Invalid environment name.")
		}
	}
	if len(args) == 0 {
		return nil, &abort{l.text("no %s specified", l.keyword)}
	}
	return args, nil
}

// parseSetEnv keeps NAME=value pairs; of one name the first.
func parseSetEnv(l *line) ([]string, error) {
	var pairs []string
	seen := map[string]bool{}
	for _, arg := range l.all() {
		name, _, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, l.badf("Invalid SetEnv.")
		}
		if !seen[name] {
			seen[name] = true
			pairs = append(pairs, arg)
		}
	}
	if len(pairs) == 0 {
		return nil, &abort{l.text("no %s specified", l.keyword)}
	}
	return pairs, nil
}

// parseAgent reads the argument of IdentityAgent, and of ForwardAgent where it
// is a path: a socket, or $VARIABLE that names one.
func parseAgent(l *line) ([]string, error) {
	arg, err := l.arg()
	if err != nil {
		return nil, l.badf("%v", err)
	}
	if _, err := expand(arg, "", nil, l.env); err != nil {
		return nil, l.badf("Invalid environment expansion %s.", arg)
	}
	if arg[0] == '$' && !strings.HasPrefix(arg, "${") && !validEnvName(arg[1:]) {
		return nil, l.badf("Invalid environment name %s.", arg)
	}
	return []string{arg}, nil
}

func parseForwardAgent(l *line) ([]string, error) {
	if len(l.args) == 0 || l.args[0] == "" {
		return nil, l.badf("missing argument.")
	}
	switch lowerASCII(l.args[0]) {
	case "yes", "true", "no", "false":
		return parseFlag(l)
	}
	v, err := parseAgent(l)
	return append([]string{"yes"}, v...), err
}

func validEnvName(s string) bool {
	return s != "" && strings.Trim(lowerASCII(s), "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
