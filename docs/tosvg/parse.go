package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// style is how a cell looks. A colour is 0 for the terminal's own, and else one
// more than its number among the sixteen.
type style struct {
	bold, faint, italic, underline, reverse bool
	fg, bg                                  int
}

// cell is one column of a line.
type cell struct {
	char rune
	style
}

// parse reads lines of text with SGR sequences (ECMA-48, 8.3.117). A style goes on
// to the next line, as on a terminal.
func parse(text string) (lines [][]cell, err error) {
	var now style
	for i, raw := range strings.Split(text, "\n") {
		var line []cell
		for raw != "" && err == nil {
			if rest, ok := strings.CutPrefix(raw, "\x1b"); ok {
				raw, err = now.escape(rest)
				continue
			}
			char, size := utf8.DecodeRuneInString(raw)
			if !narrow(char) {
				return nil, fmt.Errorf("line %d: %q does not take one column", i+1, char)
			}
			line, raw = append(line, cell{char, now}), raw[size:]
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// narrow says whether a character takes exactly one column in every terminal: of
// those beyond the alphabets of Europe only the punctuation, arrows, lines and
// blocks that screens are drawn with.
func narrow(r rune) bool {
	return r != utf8.RuneError && unicode.IsPrint(r) && (r < 0x300 || r >= 0x370 && r < 0x483 || r >= 0x2010 && r < 0x2028 || r >= 0x2030 && r < 0x205f ||
		r >= 0x2190 && r < 0x231a || r >= 0x2500 && r < 0x25fd)
}

// escape takes what follows an ESC, changes the style by it and returns what stands
// behind it.
func (s *style) escape(text string) (rest string, err error) {
	end := strings.IndexFunc(text, func(r rune) bool { return r != '[' && (r < '0' || r > ';') })
	if !strings.HasPrefix(text, "[") || end < 0 || text[end] != 'm' {
		return "", fmt.Errorf("an escape that is no SGR: %.10q", "\x1b"+text)
	}
	for p := range strings.SplitSeq(text[1:end], ";") {
		n := 0
		if p != "" {
			if n, err = strconv.Atoi(p); err != nil {
				return "", fmt.Errorf("the SGR %q", text[:end])
			}
		}
		if !s.set(n) {
			return "", fmt.Errorf("the SGR %q, of which %d is not known here", text[:end], n)
		}
	}
	return text[end+1:], nil
}

// set is one parameter of SGR.
func (s *style) set(n int) bool {
	switch {
	case n == 0:
		*s = style{}
	case n == 1:
		s.bold = true
	case n == 2:
		s.faint = true
	case n == 3:
		s.italic = true
	case n == 4:
		s.underline = true
	case n == 7:
		s.reverse = true
	case n == 22:
		s.bold, s.faint = false, false
	case n == 23:
		s.italic = false
	case n == 24:
		s.underline = false
	case n == 27:
		s.reverse = false
	case n >= 30 && n <= 37:
		s.fg = n - 30 + 1
	case n == 39:
		s.fg = 0
	case n >= 40 && n <= 47:
		s.bg = n - 40 + 1
	case n == 49:
		s.bg = 0
	case n >= 90 && n <= 97:
		s.fg = n - 90 + 8 + 1
	case n >= 100 && n <= 107:
		s.bg = n - 100 + 8 + 1
	default:
		return false
	}
	return true
}
