package netwatch

import "testing"

func TestDiff(t *testing.T) {
	of := func(digest uint64, parts ...string) snapshot { return snapshot{parts: parts, digest: digest} }
	for _, c := range []struct {
		a, b snapshot
		want string
	}{
		{of(0), of(0), ""},
		{of(7, "a", "b"), of(7, "a", "b"), ""},
		{of(0, "a"), of(0, "a", "b"), "+b"},
		{of(0, "b"), of(0, "a", "b"), "+a"},
		{of(0, "a", "b"), of(0, "b"), "-a"},
		{of(0, "a", "b"), of(0), "-a, -b"},
		{of(0, "a", "c"), of(0, "b", "c"), "-a, +b"},
		{of(0, "a"), of(0, "a", "a"), "+a"},
		{of(1, "a"), of(2, "a"), "other routes or rules"},
		{of(1, "a"), of(2), "-a, other routes or rules"},
	} {
		if got := c.a.diff(c.b); got != c.want {
			t.Errorf("%v to %v: %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

func TestDigestIsOfASetWithCounts(t *testing.T) {
	of := func(lines ...string) uint64 {
		var s snapshot
		for _, l := range lines {
			s.mix([]byte(l))
		}
		return s.digest
	}
	if of("a", "b") != of("b", "a") {
		t.Error("the order counts")
	}
	for _, other := range [][]string{{"a"}, {"a", "b", "b"}, {"ab"}, {}, {"a", "c"}} {
		if of("a", "b") == of(other...) {
			t.Errorf("a, b has the digest of %q", other)
		}
	}
}
