package sshconf

import "strings"

// maxSubpattern is the length at which OpenSSH (match.c, match_pattern_list)
// declares an element of a pattern list to match nothing.
const maxSubpattern = 1023

// match reports whether s matches pattern, in which * stands for any run of
// bytes and ? for one byte; case counts. After a mismatch only the last * is
// retried, which is enough, since an earlier one can only give up bytes that
// the last one may take as well: so the cost is at most len(s)*len(pattern),
// whatever a hostile file holds.
func match(s, pattern string) bool {
	i, j, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == '*':
			star, mark = j, i
			j++
		case j < len(pattern) && (pattern[j] == '?' || pattern[j] == s[i]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	for j < len(pattern) && pattern[j] == '*' {
		j++
	}
	return j == len(pattern)
}

// verdict is the outcome of a pattern list: a negated element that matches
// beats every other.
type verdict int

const (
	denied  verdict = -1
	unknown verdict = 0
	matched verdict = 1
)

// matchList judges s by a comma-separated list whose elements may be negated
// with !; lower folds the case of the list, but not of s.
func matchList(s, list string, lower bool) verdict {
	if lower {
		list = lowerASCII(list)
	}
	result := unknown
	for list != "" {
		negated := list[0] == '!'
		if negated {
			list = list[1:]
		}
		sub, rest, _ := strings.Cut(list, ",")
		if len(sub) >= maxSubpattern {
			return unknown
		}
		list = rest
		if !match(s, sub) {
			continue
		}
		if negated {
			return denied
		}
		result = matched
	}
	return result
}

// matchHost judges a host name by a pattern list; case does not count.
func matchHost(host, list string) bool {
	return matchList(lowerASCII(host), list, true) == matched
}

// lowerASCII folds A to Z alone. strings.ToLower would fold more than ssh does
// and rewrite bytes that are not UTF-8.
func lowerASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return foldFrom([]byte(s), i)
		}
	}
	return s
}

func foldFrom(b []byte, i int) string {
	for ; i < len(b); i++ {
		if 'A' <= b[i] && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}
