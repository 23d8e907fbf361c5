package table

import (
	"fmt"
	"strings"
	"testing"
)

func sample() *Table {
	return &Table{Columns: []Column{{Title: "HOST", Least: 6}, {Title: "STATE"}, {Title: "N", Rank: 2, Right: true}, {Title: "TO", Rank: 1, Least: 4}},
		Rows: [][]Cell{{{Text: "a-long-name"}, {Text: "ready", Ink: Good}, {Text: "12345"}, {Text: "somewhere"}}, {{Text: "日本語"}, {Text: "idle", Ink: Faint}, {Text: "1"}, {Text: "x"}}}}
}

func TestColumnsGiveWay(t *testing.T) {
	for width, want := range map[int]string{
		0:  "HOST         STATE      N  TO\na-long-name  ready  12345  somewhere\n日本語       idle       1  x",
		30: "HOST        STATE      N  TO\na-long-na…  ready  12345  som…\n日本語      idle       1  x",
		26: "HOST    STATE      N  TO\na-lon…  ready  12345  som…\n日本語  idle       1  x",
		20: "HOST    STATE      N\na-lon…  ready  12345\n日本語  idle       1",
		17: "HOST        STATE\na-long-na…  ready\n日本語      idle",
		9:  "HO…  STA…\na-…  rea…\n日…  idle",
	} {
		if got := strings.Join(sample().Lines(width, false), "\n"); got != want {
			t.Errorf("%d:\n%s\nwant\n%s", width, got, want)
		}
	}
}

// Whatever the width and the text, no line is wider, and a column that stays
// begins at the same place in every line.
func TestLinesKeepTheWidth(t *testing.T) {
	for width := 9; width < 60; width++ {
		for _, line := range sample().Lines(width, false) {
			if n := Width(line); n > width {
				t.Errorf("%d columns of %d: %q", n, width, line)
			}
		}
	}
}

func TestColoursAreOnlyColours(t *testing.T) {
	plain, painted := sample().Lines(26, false), strings.Join(sample().Lines(26, true), "\n")
	for _, sgr := range []string{"\x1b[2m", "\x1b[32m", "\x1b[m"} {
		if !strings.Contains(painted, sgr) {
			t.Errorf("no %q", sgr)
		}
		painted = strings.ReplaceAll(painted, sgr, "")
	}
	if painted != strings.Join(plain, "\n") {
		t.Errorf("%q", painted)
	}
	for env, want := range map[string]bool{"xterm ": true, " ": false, "dumb ": false, "xterm 1": false} {
		name, no, _ := strings.Cut(env, " ")
		if got := Colours(func(k string) string { return map[string]string{"TERM": name, "NO_COLOR": no}[k] }); got != want {
			t.Errorf("TERM=%q NO_COLOR=%q: %v", name, no, got)
		}
	}
}

func TestFold(t *testing.T) {
	for _, tt := range []struct {
		width int
		text  string
		want  string
	}{
		{0, "a b\nc", "  a b c"},
		{13, "one two three", "  one two|    three"},
		{13, "one\x1b[2Jtwo threefourfivesix", "  one?[2Jtw|    o|    threefour|    fivesix"},
		{1, "one two", "  one two"},
	} {
		if got := strings.Join(Fold(tt.text, tt.width, 2), "|"); got != tt.want {
			t.Errorf("%q in %d: %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

func TestSpark(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   string
	}{
		{nil, "    "}, {[]float64{0, 0}, "  ▁▁"}, {[]float64{9, 0, 1, 2, 4}, "▁▃▅█"}, {[]float64{1, -1, 1}, " █ █"},
	} {
		if got := Spark(tt.values, 4); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.values, got, tt.want)
		}
	}
}

func ExampleTable() {
	for _, l := range (&Table{Columns: []Column{{Title: "A"}, {Title: "B"}}, Rows: [][]Cell{{{Text: "1"}, {Text: "2"}}}}).Lines(80, false) {
		fmt.Println(l)
	}
	// Output:
	// A  B
	// 1  2
}
