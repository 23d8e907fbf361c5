package term

import (
	"strings"
	"testing"
)

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		text string
		most int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "a…"}, {"abcd", 2, "…"}, {"abcdef", 5, "abc…"}, {"ab  cd", 5, "ab…"},
		{"漢字", 4, "漢字"}, {"漢字", 3, "…"}, {"漢字漢", 5, "漢…"}, {"", 0, ""}, {"x", 0, ""}, {"x", -5, ""}, {"äöü", 3, "äöü"},
	} {
		if got := Cut(tt.text, tt.most); got != tt.want {
			t.Errorf("%q in %d columns: %q, want %q", tt.text, tt.most, got, tt.want)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add("漢字 and more", 7)
	f.Add("\xff\xfe", 1)
	f.Fuzz(func(t *testing.T, s string, most int) {
		got := Cut(s, most)
		if n := Columns(got); n > max(most, 0) && !(got == "…" && most == 1) {
			t.Errorf("%q in %d columns: %q has %d", s, most, got, n)
		}
		if !strings.HasPrefix(s, strings.TrimSuffix(got, "…")) {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}
