package main

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// Sizes in pixels. A glyph of a monospaced font is 0.6 of its size wide in most,
// and is made to be in the others.
const (
	fontSize   = 14.0
	cellWidth  = 8.4
	cellHeight = 18.0
	baseline   = 13.5 // of a line, from its top
	margin     = 16.0
)

// palette are the colours for a light and a dark page: paper, ink, and the
// sixteen. Each is to be read on its paper, and so no colour of a real terminal's
// that is not.
var palette = struct{ light, dark [18]string }{
	[18]string{"#f6f8fa", "#1f2328",
		"#24292f", "#cf222e", "#116329", "#7d4e00", "#0550ae", "#6639ba", "#1b6b72", "#57606a",
		"#57606a", "#a40e26", "#1a7f37", "#8a5a00", "#0969da", "#8250df", "#1b7c83", "#6e7781"},
	[18]string{"#0d1117", "#e6edf3",
		"#6e7681", "#ff7b72", "#3fb950", "#d29922", "#79c0ff", "#bc8cff", "#39c5cf", "#b1bac4",
		"#8b949e", "#ffa198", "#56d364", "#e3b341", "#a5d6ff", "#d2a8ff", "#56d4dd", "#f0f6fc"},
}

// draw makes the picture. Colours are classes: p paper, i ink, c0 to c15.
func draw(lines [][]cell, title string, columns int) string {
	var b strings.Builder
	width, height := float64(columns)*cellWidth+2*margin, float64(len(lines))*cellHeight+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]g %[2]g" width="%[1]g" height="%[2]g" role="img">`+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>\n", escaped(title))
	b.WriteString("text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\n")
	b.WriteString(".b{font-weight:bold}.f{fill-opacity:.7}.s{font-style:italic}.u{text-decoration:underline}\n")
	b.WriteString(classes(palette.light) + "@media (prefers-color-scheme:dark){\n" + classes(palette.dark) + "}\n</style>\n")
	fmt.Fprintf(&b, `<rect class="p" width="%g" height="%g" rx="8"/>`+"\n", width, height)
	for i, line := range lines {
		top := margin + float64(i)*cellHeight
		for from := 0; from < len(line); {
			to := from + 1
			for to < len(line) && line[to].style == line[from].style && isBlock(line[to].char) == isBlock(line[from].char) {
				to++
			}
			drawRun(&b, line[from:to], margin+float64(from)*cellWidth, top)
			from = to
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func classes(colours [18]string) string {
	var b strings.Builder
	for i, c := range colours {
		fmt.Fprintf(&b, ".%s{fill:%s}", className(i-1), c)
	}
	return b.String() + "\n"
}

// className is the class of a colour, 0 for the ink, and -1 for the paper.
func className(colour int) string {
	switch colour {
	case -1:
		return "p"
	case 0:
		return "i"
	}
	return fmt.Sprintf("c%d", colour-1)
}

// drawRun draws cells of one style.
func drawRun(b *strings.Builder, run []cell, x, top float64) {
	s := run[0].style
	ink, paper := className(s.fg), className(s.bg)
	if s.bg == 0 {
		paper = className(-1)
	}
	if s.reverse {
		ink, paper = paper, ink
	}
	if paper != className(-1) {
		fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", paper, x, top, cellWidth*float64(len(run)), cellHeight)
	}
	for _, flag := range []struct {
		on    bool
		class string
	}{{s.bold, " b"}, {s.faint, " f"}, {s.italic, " s"}, {s.underline, " u"}} {
		if flag.on {
			ink += flag.class
		}
	}
	if isBlock(run[0].char) {
		drawBlocks(b, run, ink, x, top)
		return
	}
	drawText(b, run, ink, x, top)
}

// isBlock says whether a character is one of the bars of eighths that curves are
// made of. They are drawn as what they mean, since fonts leave gaps between them.
func isBlock(r rune) bool { return r >= '▁' && r <= '█' }

func drawBlocks(b *strings.Builder, run []cell, ink string, x, top float64) {
	const full = fontSize // so that lines of bars stay apart
	for i, c := range run {
		height := float64(c.char-'▁'+1) / 8 * full
		fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%.2f" width="%.1f" height="%.2f"/>`+"\n", ink, x+float64(i)*cellWidth, top+cellHeight-2-height, cellWidth, height)
	}
}

// drawText draws each part that two blanks or more separate by itself, at its own
// place and as wide as its columns, so that tables stand in whatever font there is.
func drawText(b *strings.Builder, run []cell, ink string, x, top float64) {
	for from := 0; from < len(run); {
		if run[from].char == ' ' {
			from++
			continue
		}
		to, last := from, from
		for to = from; to < len(run) && to-last <= 2; to++ {
			if run[to].char != ' ' {
				last = to
			}
		}
		var text strings.Builder
		for _, c := range run[from : last+1] {
			text.WriteRune(c.char)
		}
		fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%.1f" textLength="%.1f" lengthAdjust="spacingAndGlyphs">%s</text>`+"\n",
			ink, x+float64(from)*cellWidth, top+baseline, cellWidth*float64(last+1-from), escaped(text.String()))
		from = last + 1
	}
}

func escaped(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text))
	return b.String()
}
