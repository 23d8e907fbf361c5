package sshtest

import "testing"

func TestParseStat(t *testing.T) {
	const tail = " 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 777 22 23"
	for line, want := range map[string]process{
		"12 (sshd) S" + tail:          {12, 3, "sshd", "777"},
		"12 (odd) name) (x) R" + tail: {12, 3, "odd) name) (x", "777"},
		"12 (gone) Z" + tail:          {},
		"":                            {},
		"x (y) S" + tail:              {},
		"12 (short) S 3":              {},
	} {
		if got, ok := parseStat(line); got != want || ok != (want.pid != 0) {
			t.Errorf("%q: %v %t", line, got, ok)
		}
	}
}
