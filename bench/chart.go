package main

import (
	"fmt"
	"math"
	"strings"
)

// The picture: one bar a row, from the line at which muxd and ssh -S are equal
// to the ratio, on a logarithmic axis, so that half and twice are equally long.
// A rate counts by its inverse, the time for the same bytes: every bar to the
// left is muxd's, every bar to the right is ssh's.
const (
	chartNames = 372 // width of the names
	chartBars  = 300 // of the axis
	chartTexts = 240 // of the figures
	chartRow   = 17
	chartHead  = 46
	chartTop   = 8.0 // the axis ends at eight times and at an eighth
)

// chartStyle has two sets of colours, for pages that are light and dark, each with
// its own ground: a page may be dark where the reader's system is not. Losing is
// told by a word too, not by a colour alone.
const chartStyle = `<style>
.b{fill:#fff}text{font:12px sans-serif;fill:#1f2328}.t{font-weight:bold}.s{fill:#59636e}.l{font-weight:bold;fill:#a40e26}
.w{fill:#2a7f9e}.x{fill:#cf222e}.e{fill:#8c959f}.a{stroke:#d1d9e0}.o{stroke:#1f2328}.i{stroke:#1f2328;opacity:.55}
@media (prefers-color-scheme:dark){.b{fill:#0d1117}text{fill:#e6edf3}.s{fill:#9198a1}.l{fill:#ff9492}
.w{fill:#54aecf}.x{fill:#f85149}.e{fill:#6e7681}.a{stroke:#3d444d}.o{stroke:#e6edf3}.i{stroke:#e6edf3}}
</style>
`

// chart draws the rows that are marked for it, the lost ones like the others,
// and counts those it leaves out.
func (r *report) chart() string {
	var b strings.Builder
	y, left, lost := chartHead, 0, 0
	for _, s := range r.Parts {
		titled := false
		for _, x := range s.Rows {
			if x.Ratio == nil {
				continue
			}
			if !x.Chart {
				left++
				if x.loses() {
					lost++
				}
				continue
			}
			if !titled {
				y += chartRow / 2
				fmt.Fprintf(&b, "<text class=\"t\" x=\"4\" y=\"%d\">%s</text>\n", y+12, escape(s.Title))
				y += chartRow
				titled = true
			}
			x.draw(&b, y)
			y += chartRow
		}
	}
	height := y + 46
	width := chartNames + chartBars + chartTexts
	var all strings.Builder
	fmt.Fprintf(&all, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"muxd beside ssh -S\">\n",
		width, height, width, height)
	all.WriteString(chartStyle)
	fmt.Fprintf(&all, "<rect class=\"b\" width=\"%d\" height=\"%d\"/>\n", width, height)
	fmt.Fprintf(&all, "<text class=\"t\" x=\"4\" y=\"14\">muxc and muxd, where ssh -S is 1: a bar to the left is muxd's, to the right ssh's</text>\n")
	axis(&all, y)
	all.WriteString(b.String())
	fmt.Fprintf(&all, "<text class=\"s\" x=\"4\" y=\"%d\">%s</text>\n", y+20,
		escape(fmt.Sprintf("a thin line is the 95 %% interval; rates as time for the same bytes; of %d further rows in table.md ssh wins %d", left, lost)))
	fmt.Fprintf(&all, "<text class=\"s\" x=\"4\" y=\"%d\">%s</text>\n</svg>\n", y+36, escape(r.where()))
	return all.String()
}

// where says in a line when and on what it was measured, and how busy that was
// with other things when the parts began.
func (r *report) where() string {
	if len(r.Parts) == 0 {
		return "nothing was measured"
	}
	first, last := r.Parts[0], r.Parts[len(r.Parts)-1]
	version, _, _ := strings.Cut(r.Machine.SSH, ",")
	begin, _, _ := strings.Cut(first.Load, " ")
	end, _, _ := strings.Cut(last.Load, " ")
	return fmt.Sprintf("%s, %d × %s, %s, %s; load %s at first, %s before the last part",
		first.Time.Format("2006-01-02 15:04 UTC"), r.Machine.Cores, r.Machine.CPU, r.Machine.System, version, begin, end)
}

// axis draws the lines at which the ratio is a power of two, and names them.
func axis(b *strings.Builder, bottom int) {
	for v := 1 / chartTop; v <= chartTop; v *= 2 {
		class := "a"
		if v == 1 {
			class = "o"
		}
		x := along(v)
		fmt.Fprintf(b, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", class, x, x, chartHead-8, bottom)
		fmt.Fprintf(b, "<text class=\"s\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n", x, chartHead-12, v)
	}
}

// draw is one row of the picture: name, bar, interval, figures.
func (w row) draw(b *strings.Builder, y int) {
	ratio, low, high := w.Ratio.Ratio, w.Ratio.Low, w.Ratio.High
	if w.HigherIsBetter {
		ratio, low, high = 1/ratio, 1/high, 1/low
	}
	class, word := "w", ""
	switch {
	case w.loses():
		class, word = "x", "ssh wins"
	case low <= 1 && high >= 1:
		class = "e" // neither wins
	}
	from, to := min(along(1), along(ratio)), max(along(1), along(ratio))
	fmt.Fprintf(b, "<text x=\"12\" y=\"%d\">%s</text>\n", y+12, escape(w.Name))
	fmt.Fprintf(b, "<rect class=\"%s\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"11\"/>\n", class, from, y+3, max(1, to-from))
	if high > low {
		fmt.Fprintf(b, "<line class=\"i\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", along(low), along(high), float64(y)+8.5, float64(y)+8.5)
	}
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s", chartNames+chartBars+8, y+12, digits(ratio))
	fmt.Fprintf(b, "<tspan class=\"s\" x=\"%d\">%s</tspan>", chartNames+chartBars+48,
		escape(fmt.Sprintf("%s : %s %s", figure(w.Muxc.Median), figure(w.SSH.Median), w.Unit)))
	if word != "" {
		fmt.Fprintf(b, "<tspan class=\"l\" dx=\"6\">%s</tspan>", word)
	}
	b.WriteString("</text>\n")
}

// along is where a ratio lies on the axis; what is beyond its ends is drawn at
// them.
func along(ratio float64) float64 {
	at := math.Log2(min(max(ratio, 1/chartTop), chartTop)) / math.Log2(chartTop)
	return chartNames + chartBars/2*(1+0.96*at)
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
