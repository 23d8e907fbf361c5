package sshconf

import (
	"strconv"
	"strings"
)

var (
	parseAddressFamily = choice("any", "inet", "inet6")
	parseCompression   = choice("yes", "no")
	parseStrict        = choice("yes", "true=yes", "no", "false=no", "off=no", "ask", "accept-new")
	parseYesNoAsk      = choice("yes", "true=yes", "no", "false=no", "ask")

	parseYesNoAskConfirm = choice("yes", "true=yes", "no", "false=no", "ask", "confirm")

	parsePubkeyAuth   = choice("yes", "true=yes", "no", "false=no", "unbound", "host-bound")
	parseTunnel       = choice("ethernet", "point-to-point", "yes=point-to-point", "true=point-to-point", "no", "false=no")
	parseCanonicalize = choice("yes", "true=yes", "no", "false=no", "always")
	parseWeakCrypto   = choice("yes", "true=yes", "no", "false=no", "no-pq-kex=no")
)

// qosNone in IPQoS leaves the choice to the operating system.
const qosNone = -1

// qosNames are the DSCP code points of RFC 2474, 2597, 3246, 5865 and 8622 as
// the byte of the IP header holds them. The three words from RFC 791 mean none
// since OpenSSH 10.1.
var qosNames = map[string]int{
	"none": qosNone, "lowdelay": qosNone, "throughput": qosNone, "reliability": qosNone,
	"le": 0x04, "cs0": 0x00, "cs1": 0x20, "cs2": 0x40, "cs3": 0x60, "cs4": 0x80, "cs5": 0xa0, "cs6": 0xc0, "cs7": 0xe0,
	"af11": 0x28, "af12": 0x30, "af13": 0x38, "af21": 0x48, "af22": 0x50, "af23": 0x58,
	"af31": 0x68, "af32": 0x70, "af33": 0x78, "af41": 0x88, "af42": 0x90, "af43": 0x98,
	"va": 0xb0, "ef": 0xb8,
}

func scanQoS(s string) (int, bool) {
	if n, ok := qosNames[lowerASCII(s)]; ok {
		return n, true
	}
	n, err := scanInt(s)
	return n, err == nil && n <= 255
}

func parseQoS(l *line) ([]string, error) {
	first, _ := l.next()
	second, ok := l.next()
	if !ok {
		second = first
	}
	interactive, ok := scanQoS(first)
	if !ok {
		return nil, l.badf("Bad IPQoS value: %s", first)
	}
	bulk, ok := scanQoS(second)
	if !ok {
		return nil, l.badf("Bad IPQoS value: %s", second)
	}
	return []string{strconv.Itoa(interactive), strconv.Itoa(bulk)}, nil
}

// minRekey is the least RekeyLimit that ssh takes, in bytes; 0 is the default
// of the cipher.
const minRekey = 16

// parseRekey keeps bytes and, where there is a second argument, seconds.
func parseRekey(l *line) ([]string, error) {
	arg, err := l.arg()
	if err != nil {
		return nil, l.badf("%v", err)
	}
	size := int64(0)
	if arg != "default" {
		if size, err = scanSize(arg); err != nil {
			return nil, l.badf("Bad number '%s': %v", arg, err)
		}
		if size != 0 && size < minRekey {
			return nil, l.badf("RekeyLimit too small")
		}
	}
	v := []string{strconv.FormatInt(size, 10)}
	if len(l.args) == 0 {
		return v, nil
	}
	interval, err := parseTime(l)
	return append(v, interval...), err
}

func parseJump(l *line) ([]string, error) {
	spec := l.rest
	if !l.literal {
		spec = strings.TrimLeft(spec, blanks+"=")
	}
	l.args = nil
	if strings.EqualFold(spec, "none") {
		return []string{"none"}, nil
	}
	trimmed, _, _ := strings.Cut(spec, "#")
	trimmed = strings.TrimRight(trimmed, " \t\r\n\f\v")
	if _, err := scanJumps(trimmed, l.option); err != nil {
		return nil, l.badf("Invalid ProxyJump \"%s\"", spec)
	}
	return []string{trimmed}, nil
}
