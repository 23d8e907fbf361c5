package sshconf

import (
	"errors"
	"strings"
)

const blanks = " \t\r\n"

var errQuotes = errors.New("invalid quotes")

// cutWord takes the first word of s, which ends at white space, at one = or
// around a pair of double quotes (misc.c, strdelim). It reports false where a
// quote is never closed; ssh then passes over the line without a word.
func cutWord(s string) (word, rest string, ok bool) {
	i := strings.IndexAny(s, blanks+"\"=")
	if i < 0 {
		return s, "", true
	}
	if s[i] == '"' {
		tail := s[i+1:]
		j := strings.IndexByte(tail, '"')
		if j < 0 {
			return "", "", false
		}
		return s[:i] + tail[:j], strings.TrimLeft(tail[j+1:], blanks), true
	}
	word, rest = s[:i], strings.TrimLeft(s[i+1:], blanks)
	if s[i] != '=' && strings.HasPrefix(rest, "=") {
		rest = strings.TrimLeft(rest[1:], blanks)
	}
	return word, rest, true
}

// cutKeyword takes the keyword of a line, in lower case, and what follows it.
// The keyword is empty for a blank line and a comment.
func cutKeyword(s string) (keyword, rest string) {
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i] // ssh reads lines as C strings
	}
	s = strings.TrimRight(s, blanks+"\f")
	keyword, rest, ok := cutWord(s)
	if ok && keyword == "" {
		keyword, rest, ok = cutWord(rest)
	}
	if !ok || strings.HasPrefix(keyword, "#") {
		return "", ""
	}
	return fold(keyword), rest
}

// fold is lowerASCII for keywords. Nearly every line begins with a keyword that
// is in the table and is written with capitals; the table's own string spares
// these an allocation.
func fold(word string) string {
	var buf [maxKeyword]byte
	if len(word) > len(buf) {
		return lowerASCII(word)
	}
	n := copy(buf[:], word)
	for i, c := range buf[:n] {
		if 'A' <= c && c <= 'Z' {
			buf[i] = c + 'a' - 'A'
		}
	}
	if name, ok := spellings[string(buf[:n])]; ok {
		return name
	}
	return string(buf[:n])
}

// splitArgs appends the arguments in s to dst (misc.c, argv_split): single and
// double quotes group, a backslash escapes a quote, a backslash and, outside
// quotes, a blank, and where comments is true a # that begins an argument ends
// the line.
func splitArgs(dst []string, s string, comments bool) ([]string, error) {
	for i := 0; i < len(s); {
		if s[i] == ' ' || s[i] == '\t' {
			i++
			continue
		}
		if comments && s[i] == '#' {
			break
		}
		arg, n, err := cutArg(s[i:])
		if err != nil {
			return dst, err
		}
		dst = append(dst, arg)
		i += n
	}
	return dst, nil
}

// cutArg takes the argument at the start of s and reports its length in s. An
// argument without quotes and backslashes, nearly every one, is not copied.
func cutArg(s string) (arg string, n int, err error) {
	n = strings.IndexAny(s, " \t\"'\\")
	if n < 0 {
		return s, len(s), nil
	}
	if s[n] == ' ' || s[n] == '\t' {
		return s[:n], n, nil
	}
	out := []byte(s[:n])
	quote := byte(0)
	for ; n < len(s); n++ {
		c := s[n]
		switch {
		case c == '\\' && n+1 < len(s) && escapable(s[n+1], quote):
			n++
			out = append(out, s[n])
		case quote == 0 && (c == ' ' || c == '\t'):
			return string(out), n, nil
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		default:
			out = append(out, c)
		}
	}
	if quote != 0 {
		return "", n, errQuotes
	}
	return string(out), n, nil
}

func escapable(c, quote byte) bool {
	return c == '\'' || c == '"' || c == '\\' || c == ' ' && quote == 0
}
