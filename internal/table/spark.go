package table

import "strings"

// blocks are the eight heights of a sparkline.
var blocks = []rune("▁▂▃▄▅▆▇█")

// Spark draws the newest n values, one column each, between zero and the
// greatest of them; a value below zero is one that there is not, and is a gap.
// Fewer values stand at the right, where the newest one always is.
func Spark(values []float64, n int) string {
	values = values[max(0, len(values)-n):]
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", n-len(values)))
	for _, v := range values {
		switch {
		case v < 0:
			b.WriteByte(' ')
		case top == 0:
			b.WriteRune(blocks[0])
		default:
			b.WriteRune(blocks[min(len(blocks)-1, int(v/top*float64(len(blocks)-1)+0.5))])
		}
	}
	return b.String()
}
