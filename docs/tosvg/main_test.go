package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

// show is what was parsed, each cell's style before it where it differs from that
// of the cell before.
func show(lines [][]cell) string {
	var b strings.Builder
	var last style
	for i, line := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, c := range line {
			if c.style != last {
				b.WriteString("<" + strings.TrimSpace(strings.Join(words(c.style), " ")) + ">")
				last = c.style
			}
			b.WriteRune(c.char)
		}
	}
	return b.String()
}

func words(s style) (all []string) {
	for word, on := range map[string]bool{"bold": s.bold, "faint": s.faint, "italic": s.italic, "underline": s.underline, "reverse": s.reverse} {
		if on {
			all = append(all, word)
		}
	}
	if s.fg != 0 {
		all = append(all, "ink:"+className(s.fg))
	}
	if s.bg != 0 {
		all = append(all, "on:"+className(s.bg))
	}
	return all
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"a b\n\nc":                       "a b\n\nc",
		"\x1b[1mA\x1b[0mb":               "<bold>A<>b",
		"\x1b[1mA\x1b[mb":                "<bold>A<>b",
		"\x1b[32mon\nthe next\x1b[39m.":  "<ink:c2>on\nthe next<>.",
		"\x1b[2mf\x1b[22;97mg\x1b[100mh": "<faint>f<ink:c15>g<ink:c15 on:c8>h",
		"\x1b[3mi\x1b[23;4mu\x1b[24;7mr\x1b[27mn": "<italic>i<underline>u<reverse>r<>n",
		"é … › ▁█ ↑ │":                            "é … › ▁█ ↑ │",
	} {
		lines, err := parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := show(lines); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	lines, err := parse("\x1b[1;31mx\x1b[22my\x1b[39;44mz")
	if err != nil || lines[0][0].style != (style{bold: true, fg: 2}) || lines[0][1].style != (style{fg: 2}) || lines[0][2].style != (style{bg: 5}) {
		t.Errorf("%+v, %v", lines, err)
	}
}

// What is not understood is not left out: it is an error.
func TestParseLosesNothing(t *testing.T) {
	for _, text := range []string{
		"\x1b", "a\x1b", "\x1b[", "\x1b[1", "\x1b[1;", "\x1b[5m", "\x1b[38;5;200m", "\x1b[48;2;1;2;3m", "\x1b[1:2m", "\x1b[99999999999999999999m", "\x1b[-1m",
		"\x1b[?25l", "\x1b[2J", "\x1b[K", "\x1b]8;;http://x\x1b\\", "\x1b(0", "\x1bM", "\x0e", "\t", "\r", "\x7f", "\x9b1m", "\xff",
		"日", "e\u0301", "\u200b", "\u202e", "😀", "\ufeff",
	} {
		if lines, err := parse(text); err == nil {
			t.Errorf("%q was taken: %s", text, show(lines))
		}
	}
}

// TestParseKeepsText: without its escapes, a text is what was parsed of it.
func TestParseKeepsText(t *testing.T) {
	const text = "\x1b[1mmuxd\x1b[0m 0.1\n\x1b[2mHOST\x1b[0m\x1b[39m\x1b[49m  ▁▂█\n  \x1b[33;1mwaiting\x1b[m  <&>"
	lines, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for i, line := range lines {
		if i > 0 {
			got.WriteByte('\n')
		}
		for _, c := range line {
			got.WriteRune(c.char)
		}
	}
	if want := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(text, ""); got.String() != want {
		t.Errorf("%q, want %q", got.String(), want)
	}
}

// drawn is the picture's elements: what an XML parser makes of it.
type drawn struct {
	Title string `xml:"title"`
	Texts []struct {
		Class  string  `xml:"class,attr"`
		X      float64 `xml:"x,attr"`
		Length float64 `xml:"textLength,attr"`
		Text   string  `xml:",chardata"`
	} `xml:"text"`
	Rects []struct {
		Class         string `xml:"class,attr"`
		Width, Height float64
	} `xml:"rect"`
}

func read(t *testing.T, svg string) (d drawn) {
	t.Helper()
	if err := xml.Unmarshal([]byte(svg), &d); err != nil {
		t.Fatalf("%v: %s", err, svg)
	}
	return d
}

func TestDraw(t *testing.T) {
	var svg strings.Builder
	err := convert(&svg, strings.NewReader("ab  c d   \x1b[1;32m<e>\x1b[0m▁█\n\x1b[7m r \n\n"), "a & b", 80)
	if err != nil {
		t.Fatal(err)
	}
	d := read(t, svg.String())
	type text struct {
		class  string
		column float64
		cells  float64
		text   string
	}
	want := []text{{"i", 0, 2, "ab"}, {"i", 4, 3, "c d"}, {"c2 b", 10, 3, "<e>"}, {"p", 1, 1, "r"}}
	var got []text
	for _, e := range d.Texts {
		got = append(got, text{e.Class, round((e.X - margin) / cellWidth), round(e.Length / cellWidth), e.Text})
	}
	if len(got) != len(want) {
		t.Fatalf("%+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	var classes []string
	for _, r := range d.Rects {
		classes = append(classes, r.Class)
	}
	if strings.Join(classes, " ") != "p i i i" || d.Title != "a & b" { // paper, two bars, what is reversed
		t.Errorf("%q, title %q", classes, d.Title)
	}
}

func round(f float64) float64 { return float64(int(f + 0.5)) }

func TestConvertRefuses(t *testing.T) {
	for text, want := range map[string]string{"": "nothing", "\n\n": "nothing", "a\nbcdef": "line 2 has 5 columns", "a\n\x1b[K": "line 2"} {
		if err := convert(io.Discard, strings.NewReader(text), "", 4); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	broken := errors.New("broken")
	if err := convert(io.Discard, io.MultiReader(strings.NewReader("a"), errReader{broken}), "", 4); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// The pictures that README.md shows are whole.
func TestPictures(t *testing.T) {
	for name, want := range map[string][]string{
		"status": {"$ muxd status", "HOST", "ready", "waiting"},
		"top":    {"web", "q quit", "ready", "COMMAND"},
	} {
		b, err := os.ReadFile("../" + name + ".svg")
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, e := range read(t, string(b)).Texts {
			all = append(all, e.Text)
		}
		for _, w := range want {
			if !strings.Contains(strings.Join(all, "\n"), w) {
				t.Errorf("%s.svg has no %q", name, w)
			}
		}
	}
}
