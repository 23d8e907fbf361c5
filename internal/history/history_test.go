package history

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"muxd/control"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// at is the event of the nth second.
func at(n int) control.Event {
	return control.Event{Time: noon.Add(time.Duration(n) * time.Second), Text: fmt.Sprint(n)}
}

func texts(events []control.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.Text)
	}
	return strings.Join(all, " ")
}

func TestSince(t *testing.T) {
	var r Ring
	if events, forgotten := r.Since(time.Time{}, ""); events != nil || forgotten != 0 {
		t.Errorf("of nothing: %v, %d", events, forgotten)
	}
	for n, key := range []string{"a", "b", "", "a", "b"} {
		r.Add(at(n), key)
	}
	for _, tt := range []struct {
		then int
		key  string
		want string
	}{{-9, "", "0 1 2 3 4"}, {2, "", "2 3 4"}, {0, "a", "0 2 3"}, {3, "b", "4"}, {5, "", ""}, {0, "c", "2"}} {
		if events, forgotten := r.Since(at(tt.then).Time, tt.key); texts(events) != tt.want || forgotten != 0 {
			t.Errorf("since %d of %q: %s, %d forgotten; want %s", tt.then, tt.key, texts(events), forgotten, tt.want)
		}
	}
}

// Of more than are kept the newest are there, in order, at every place where the
// ring may begin.
func TestMost(t *testing.T) {
	var r Ring
	for n := range 3*Most + 5 {
		r.Add(at(n), "a")
		if n < Most || n%97 != 0 && n < 3*Most {
			continue
		}
		first := n - Most + 1
		events, forgotten := r.Since(time.Time{}, "")
		if len(events) != Most || events[0] != at(first) || events[Most-1] != at(n) || forgotten != first {
			t.Fatalf("after %d: %d events, %s to %s, %d forgotten", n, len(events), events[0].Text, events[len(events)-1].Text, forgotten)
		}
		if _, forgotten = r.Since(at(first).Time, ""); forgotten != 0 {
			t.Fatalf("after %d: %d forgotten of those that are kept", n, forgotten)
		}
		if _, forgotten = r.Since(at(first-1).Time, ""); forgotten == 0 {
			t.Fatalf("after %d: the one before is not said to be forgotten", n)
		}
	}
}

func TestLongText(t *testing.T) {
	var r Ring
	r.Add(control.Event{Text: strings.Repeat("x", 1<<20)}, "")
	if events, _ := r.Since(time.Time{}, ""); len(events[0].Text) != maxText || !strings.HasSuffix(events[0].Text, "x…") {
		t.Errorf("%d bytes are kept", len(events[0].Text))
	}
}
