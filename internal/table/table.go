// Package table lays text out for a terminal of a given width: columns that are
// shortened and left out by their rank where there is no room, lines that are
// folded, and a few colours. It exists because two commands, one that prints
// once and one that draws again and again, are to look alike.
//
// It trusts no text: every cell is cleaned of what a terminal would act on, and
// measured as a terminal shows it, wide characters included. It refuses to know
// where its output goes: the width, and whether there may be colours, are
// arguments.
package table

import (
	"strings"

	"github.com/charmbracelet/x/ansi"

	"muxd/control"
)

// gap is what stands between two columns.
const gap = 2

// Column is one column, and what becomes of it where there is no room.
type Column struct {
	Title string
	// Rank is the order in which columns are left out, the lowest first; one of
	// rank 0 stays.
	Rank int
	// Least is the width down to which it is shortened before any is left out;
	// 0 is not at all.
	Least int
	Right bool // flush right
}

// Cell is a text and its colour.
type Cell struct {
	Text string
	Ink  Ink
	Own  bool // drawn here and not told by anybody: its spaces count
}

// Table is columns and rows. A row has a cell for each column.
type Table struct {
	Columns []Column
	Rows    [][]Cell
}

// Lines returns the header and a line for each row, no wider than width; 0 is
// any. Nothing is at the end of a line but the last cell's text.
func (t *Table) Lines(width int, colour bool) []string {
	natural := make([]int, len(t.Columns))
	rows := make([][]Cell, len(t.Rows))
	for i, c := range t.Columns {
		natural[i] = Width(c.Title)
	}
	for r, row := range t.Rows {
		rows[r] = make([]Cell, len(row))
		for i, c := range row {
			if rows[r][i] = c; !c.Own {
				rows[r][i].Text = control.CleanLine(c.Text)
			}
			natural[i] = max(natural[i], Width(rows[r][i].Text))
		}
	}
	shown, widths := t.fit(natural, width)
	head := make([]Cell, len(t.Columns))
	for i, c := range t.Columns {
		head[i] = Cell{Text: c.Title, Ink: Faint}
	}
	lines := []string{t.line(head, shown, widths, colour)}
	for _, row := range rows {
		lines = append(lines, t.line(row, shown, widths, colour))
	}
	return lines
}

// fit decides which columns are shown and how wide each of them is.
func (t *Table) fit(natural []int, width int) (shown, widths []int) {
	for i := range t.Columns {
		shown = append(shown, i)
	}
	if width <= 0 {
		return shown, natural
	}
	least := func(i int) int {
		if l := t.Columns[i].Least; l > 0 {
			return min(l, natural[i])
		}
		return natural[i]
	}
	for {
		room, drop := width+gap, -1
		for at, i := range shown {
			room -= least(i) + gap
			if r := t.Columns[i].Rank; r > 0 && (drop < 0 || r < t.Columns[shown[drop]].Rank) {
				drop = at
			}
		}
		if room < 0 && drop >= 0 {
			shown = append(shown[:drop:drop], shown[drop+1:]...)
			continue
		}
		return shown, t.share(shown, natural, least, room)
	}
}

// share gives the room beyond the least widths to the columns that want it, the
// first one first; where there is less than none, the widest give.
func (t *Table) share(shown, natural []int, least func(int) int, room int) []int {
	widths := make([]int, len(natural))
	for _, i := range shown {
		widths[i] = least(i)
	}
	for _, i := range shown {
		more := min(max(room, 0), natural[i]-widths[i])
		widths[i] += more
		room -= more
	}
	for ; room < 0; room++ {
		widest := shown[0]
		for _, i := range shown {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= 1 {
			break
		}
		widths[widest]--
	}
	return widths
}

func (t *Table) line(row []Cell, shown, widths []int, colour bool) string {
	var b strings.Builder
	for at, i := range shown {
		text := Cut(row[i].Text, widths[i])
		pad := strings.Repeat(" ", max(0, widths[i]-Width(text)))
		painted := row[i].Ink.Paint(text, colour)
		last := at == len(shown)-1
		switch {
		case t.Columns[i].Right:
			b.WriteString(pad + painted)
		case last:
			b.WriteString(painted)
		default:
			b.WriteString(painted + pad)
		}
		if !last {
			b.WriteString(strings.Repeat(" ", gap))
		}
	}
	return b.String()
}

// Width is how many columns a terminal needs for text.
func Width(text string) int { return ansi.StringWidth(text) }

// Cut keeps text within so many columns, by an ellipsis.
func Cut(text string, most int) string { return ansi.Truncate(text, max(0, most), "…") }

// Fold breaks text into lines of so many columns at most, where it has spaces if
// it can. The first one is indented by indent columns, and each further one by
// two more. Width 0 is one line.
func Fold(text string, width, indent int) []string {
	text = control.CleanLine(text)
	first, more := strings.Repeat(" ", indent), strings.Repeat(" ", indent+2)
	if width <= 0 || indent+Width(text) <= width {
		return []string{first + text}
	}
	lines := strings.Split(ansi.Wrap(text, max(8, width-len(more)), " "), "\n")
	for i := range lines {
		if lines[i] = strings.TrimSpace(lines[i]); i == 0 {
			lines[i] = first + lines[i]
		} else {
			lines[i] = more + lines[i]
		}
	}
	return lines
}
