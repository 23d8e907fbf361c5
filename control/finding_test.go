package control

import (
	"slices"
	"testing"
)

func TestFindings(t *testing.T) {
	want := []Finding{{Text: "a"}, {FindingProblem, "b c d", "e"}, {Text: "no\ttabs of ours\tin\tit"}}
	text := want[0].String() + "\n" + Finding{FindingProblem, "b\tc\nd", "e\x1b"}.String() + "\n\nno\ttabs of ours\tin\tit"
	want[1].Cure = "e?"
	if got := ParseFindings(text); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
