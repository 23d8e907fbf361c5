package sshconf

import (
	"errors"
	"math"
	"math/big"
	"net"
	"strconv"
	"strings"
	"time"
)

var (
	errNumber = errors.New("Invalid argument")
	errRange  = errors.New("Numerical result out of range")
)

// scanInt reads a count from 0 to 2^31-1; the errors are the words that ssh
// puts after "integer value".
func scanInt(s string) (int, error) {
	if s == "" {
		return 0, errors.New("missing")
	}
	n, err := strconv.ParseInt(strings.TrimLeft(s, " \t\n\v\f\r"), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && strings.HasPrefix(s, "-"), err == nil && n < 0:
		return 0, errors.New("too small")
	case errors.Is(err, strconv.ErrRange), err == nil && n > math.MaxInt32:
		return 0, errors.New("too large")
	case err != nil:
		return 0, errors.New("invalid")
	}
	return int(n), nil
}

// scanPort reads a port number or the name of a TCP service (misc.c, a2port).
func scanPort(s string) (int, bool) {
	if n, err := scanInt(s); err == nil {
		return n, n <= 65535
	}
	if !lettersAndDigits(s) {
		return 0, false
	}
	port, err := net.LookupPort("tcp", s)
	return port, err == nil
}

// lettersAndDigits keeps LookupPort away from what no service is called; it
// would also accept capitals, which getservbyname(3) does not.
func lettersAndDigits(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" &&
		strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyz")
}

// timeUnits are the units of sshd_config(5), TIME FORMATS, in seconds.
var timeUnits = map[byte]float64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}

// scanTime reads a time such as 90, 1h30m or 0.5s in whole seconds (misc.c,
// convtime): seconds may stand once and may have a fraction, which is dropped.
func scanTime(s string) (int, bool) {
	if s == "" {
		return 0, false
	}
	total, seconds := 0.0, false
	for s != "" {
		end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if end < 0 {
			end = len(s)
		}
		digits, unit := s[:end], byte('s')
		s = s[end:]
		if s != "" {
			unit = lowerASCII(s[:1])[0]
			s = s[1:]
		}
		val, err := strconv.ParseFloat(digits, 64)
		scale, known := timeUnits[unit]
		if err != nil || !known || unit == 's' && seconds {
			return 0, false
		}
		if strings.Contains(digits, ".") && (unit != 's' || strings.HasSuffix(digits, ".")) {
			return 0, false
		}
		seconds = seconds || unit == 's'
		total += val * scale
	}
	return int(total), total <= math.MaxInt32
}

// maxDigits is the most that ssh's scan_scaled reads before it gives up.
const maxDigits = 20

// scanSize reads a number of bytes with an optional fraction and one of the
// suffixes B K M G T P E, each 1024 times the one before it. What follows the
// suffix is only looked at for a letter or digit (scan_scaled(3)).
func scanSize(s string) (int64, error) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	digits, negative := strings.CutPrefix(s, "-")
	if !negative {
		digits = strings.TrimPrefix(s, "+")
	}
	shift := 0
	if end := strings.IndexFunc(digits, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); end >= 0 {
		i := strings.IndexByte("bkmgtpe", lowerASCII(digits[end : end+1])[0])
		if i < 0 || end+1 < len(digits) && isAlnum(digits[end+1]) {
			return 0, errNumber
		}
		digits, shift = digits[:end], 10*i
	}
	n, err := scaled(digits, shift)
	if negative {
		n = -n
	}
	return n, err
}

func isAlnum(c byte) bool {
	return strings.IndexByte("abcdefghijklmnopqrstuvwxyz0123456789", lowerASCII(string(rune(c)))[0]) >= 0
}

// scaled is digits times 2^shift; without a suffix a fraction is dropped.
func scaled(digits string, shift int) (int64, error) {
	whole, fraction, _ := strings.Cut(digits, ".")
	if strings.Contains(fraction, ".") {
		return 0, errNumber
	}
	if len(whole) > maxDigits {
		return 0, errRange
	}
	if len(fraction) > maxDigits {
		fraction = fraction[:maxDigits]
	}
	if shift == 0 {
		fraction = ""
	}
	v, ok := new(big.Rat).SetString("0" + whole + "." + fraction + "0")
	if !ok {
		return 0, errNumber
	}
	v.Mul(v, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), uint(shift))))
	n := new(big.Int).Quo(v.Num(), v.Denom())
	if !n.IsInt64() {
		return 0, errRange
	}
	return n.Int64(), nil
}

// seconds turns what a parser stored back into a duration.
func seconds(s string) time.Duration {
	n, _ := strconv.Atoi(s)
	return time.Duration(n) * time.Second
}
