package sshconf

import (
	"fmt"
	"strconv"
	"strings"
)

var (
	parseHashWord     = choice("md5=MD5", "sha1=SHA1", "sha256=SHA256", "sha384=SHA384", "sha512=SHA512")
	parseFacilityWord = choice("daemon=DAEMON", "user=USER", "auth=AUTH", "authpriv=AUTHPRIV", "local0=LOCAL0",
		"local1=LOCAL1", "local2=LOCAL2", "local3=LOCAL3", "local4=LOCAL4", "local5=LOCAL5", "local6=LOCAL6", "local7=LOCAL7")
)

func parseHash(l *line) ([]string, error) {
	if len(l.args) == 0 || l.args[0] == "" {
		return nil, l.badf("%v", errMissing)
	}
	arg := l.args[0]
	v, err := parseHashWord(l)
	if err != nil {
		return nil, l.badf("Invalid hash algorithm \"%s\".", arg)
	}
	return v, nil
}

func parseFacility(l *line) ([]string, error) {
	arg := "<NONE>"
	if len(l.args) > 0 {
		arg = l.args[0]
	}
	v, err := parseFacilityWord(l)
	if err != nil {
		return nil, l.badf("unsupported log facility '%s'", arg)
	}
	return v, nil
}

// maxTunnel is SSH_TUNID_MAX: the three largest numbers have a meaning.
const maxTunnel = 0x7fffffff - 2

// parseTunnelDevice keeps local:remote, each a number or any.
func parseTunnelDevice(l *line) ([]string, error) {
	arg, err := l.arg()
	if err != nil {
		return nil, l.badf("%v", err)
	}
	local, remote, both := strings.Cut(arg, ":")
	if !both {
		remote = "any"
	}
	for _, s := range []*string{&local, &remote} {
		if strings.EqualFold(*s, "any") {
			*s = "any"
			continue
		}
		n, err := scanInt(*s)
		if err != nil || n > maxTunnel {
			return nil, l.badf("Bad tun device.")
		}
		*s = strconv.Itoa(n)
	}
	return []string{local + ":" + remote}, nil
}

// parseMask keeps the mask as ssh -G prints it. What follows the digits is not
// looked at (strtol).
func parseMask(l *line) ([]string, error) {
	arg, _ := l.next()
	if arg == "" {
		return nil, l.badf("Missing StreamLocalBindMask argument.")
	}
	digits := strings.TrimPrefix(strings.TrimLeft(arg, " \t\r\n\f\v"), "+")
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '7' }); end >= 0 {
		digits = digits[:end]
	}
	n, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || n > 0o777 {
		return nil, l.badf("Bad mask.")
	}
	return []string{fmt.Sprintf("0%o", n)}, nil
}

// parseAddendum keeps the rest of the line, or nothing for none. A number sign
// begins no comment here, whatever the manual says.
func parseAddendum(l *line) ([]string, error) {
	l.args = nil
	s := strings.TrimLeft(l.rest, blanks)
	if strings.Contains(s, "\r") {
		return nil, &abort{l.text("Invalid %s argument", l.keyword)}
	}
	if strings.EqualFold(s, "none") {
		s = ""
	}
	return []string{s}, nil
}
