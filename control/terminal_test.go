package control

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muxd/internal/term"
)

// understood is what an Escaper makes of what is typed.
func understood(e *term.Escaper, typed []byte) (s string) {
	for _, ev := range e.Feed(typed) {
		if ev.Action == term.Pass {
			s += string(ev.Bytes)
		} else {
			s += fmt.Sprintf("<%c>", ev.Key)
		}
	}
	return s
}

// TestSort: whatever is typed in whatever pieces, and whoever reads it, comes to
// the same; and what is kept for the client begins with the escape character.
func TestSort(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		typed := make([]byte, random.IntN(12))
		for i := range typed {
			typed[i] = "~~~\r\n.?\x1axB"[random.IntN(10)]
		}
		want := understood(term.NewEscaper('~'), typed)
		l, client := line{escape: '~', lineStart: true}, term.NewEscaper('~')
		got, lent := "", true
		for rest := typed; len(rest) > 0; {
			piece := rest[:1+random.IntN(len(rest))]
			rest = rest[len(piece):]
			if lent {
				session, back := l.sort(piece)
				got += string(session)
				if len(back) == 0 {
					continue
				}
				if back[0] != '~' || !l.lineStart {
					t.Fatalf("%q: %q is given back", typed, back)
				}
				client.Resume(true)
				lent, piece = false, back
			}
			got += understood(client, piece)
			if midLine, whole := client.MidLine(); whole && random.IntN(2) == 0 {
				lent, l.lineStart = true, !midLine
			}
		}
		if i := strings.Index(want, "<.>"); i >= 0 {
			want, got = want[:i+3], got[:min(len(got), i+3)] // who lends after the end is nobody
		}
		if got != want {
			t.Fatalf("%q: %q, want %q", typed, got, want)
		}
	}
}

// TestSortNothing: without an escape character all is the session's.
func TestSortNothing(t *testing.T) {
	l := line{escape: NoEscape, lineStart: true}
	typed := []byte("~.\r\xff~.\x00")
	if session, rest := l.sort(typed); !bytes.Equal(session, typed) || len(rest) != 0 {
		t.Errorf("%q, %q", session, rest)
	}
}

// slow takes what is typed after a time, or fails then.
type slow struct {
	Stream
	after time.Duration
	err   error
}

func (s slow) Write(b []byte) (int, error) {
	time.Sleep(s.after)
	return len(b), s.err
}

// TestHurry: the terminal is given back after 200 ms and not before, once, with
// what stands behind.
func TestHurry(t *testing.T) {
	const stuck = 200 * time.Millisecond
	gone := errors.New("gone")
	for _, c := range []struct {
		after time.Duration
		err   error
		back  bool
	}{{0, nil, false}, {stuck - 1, nil, false}, {stuck - 1, gone, false}, {stuck + 1, nil, true}, {time.Hour, gone, true}} {
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe()
			o := &operation{in: newStdinQueue(), w: newFrameWriter(w), line: line{lineStart: true}}
			o.in.lend(true)
			came := make(chan string, 1)
			began := time.Now()
			go func() {
				f, b, err := (&frameReader{r: r}).next()
				if err == nil {
					came <- fmt.Sprintf("%d %q after %v", f, b, time.Since(began))
				}
				close(came)
			}()
			m := new(Meter)
			back, err := o.hurry(slow{after: c.after, err: c.err}, m, []byte("ls\r"), []byte("~."))
			if back != c.back || err != c.err || m.In.Load() != 3 || o.in.lent == c.back {
				t.Errorf("%v: back %v, %v; %d bytes, lent %v", c.after, back, err, m.In.Load(), o.in.lent)
			}
			synctest.Wait()
			r.Close()
			want := ""
			if c.back {
				want = fmt.Sprintf("%d %q after %v", frameBack, "\x02~.", stuck)
			}
			if got := <-came; got != want {
				t.Errorf("%v: %q, want %q", c.after, got, want)
			}
		})
	}
}
