package control

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds a text that came from a server, in bytes. Four kilobytes are
// more than a screen of banner.
const maxText = 4 << 10

// Clean makes text that came from a remote side fit for a terminal: control
// characters (C0, C1 and DEL, so escape sequences in both their forms), bidi
// controls and bytes that are no UTF-8 are shown as ?, newlines and tabs stay,
// carriage returns go, and it is cut at 4 KiB. It is applied in one place, where frames with text
// are written (notices, prompts, errors, status); the bytes of a session are
// never touched.
func Clean(s string) string {
	cut := len(s) > maxText
	if cut {
		s = s[:boundary(s, maxText-len(ellipsis))]
	}
	s = strings.Map(harmless, s)
	if cut {
		s += ellipsis
	}
	return s
}

// ellipsis ends a text that was cut. It counts towards maxText, so that
// cleaning a text twice changes nothing.
const ellipsis = "…"

// boundary returns the last start of a character at or before i.
func boundary(s string, i int) int {
	for low := i - utf8.UTFMax; i > low+1 && !utf8.RuneStart(s[i]); {
		i--
	}
	return i
}

// harmless never returns a longer character than it was given, so the limit
// that held before it holds after it.
func harmless(r rune) rune {
	switch {
	case r == '\n', r == '\t':
		return r
	case r == '\r':
		return -1
	case r == utf8.RuneError, unicode.IsControl(r), isBidi(r):
		return '?'
	}
	return r
}

// CleanLine is Clean for text that must stay on one line.
func CleanLine(s string) string {
	return strings.Join(strings.Fields(Clean(s)), " ")
}

// isBidi reports the characters that reorder the text around them, with which
// a host name or a prompt can be made to read as another, and the invisible
// separators that some terminals act on.
func isBidi(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 ||
		r == 0x200e || r == 0x200f || r == 0x061c || r == 0x2028 || r == 0x2029
}
