package term

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// typed feeds the chunks and writes what comes out: bytes for the session as
// they are, escapes as <action key>.
func typed(e *Escaper, chunks ...string) string {
	var b strings.Builder
	for _, c := range chunks {
		for _, ev := range e.Feed([]byte(c)) {
			if ev.Action == Pass {
				b.Write(ev.Bytes)
			} else {
				fmt.Fprintf(&b, "<%d %s>", ev.Action, keyName(ev.Key))
			}
		}
	}
	return b.String()
}

func TestEscapes(t *testing.T) {
	for _, tt := range []struct {
		name string
		char int
		in   string
		want string
	}{
		{"text", '~', "ls ~/x\r", "ls ~/x\r"},
		{"at the start", '~', "~.", "<1 .>"},
		{"nothing behind the end", '~', "a\r~.b\r~?", "a\r<1 .>"},
		{"after a return", '~', "a\r~?b", "a\r<2 ?>b"},
		{"after a newline", '~', "a\n~#b", "a\n<3 #>b"},
		{"not within a line", '~', "a~.", "a~."},
		{"still at the start after an escape", '~', "~?~#~B", "<2 ?><3 #><5 B>"},
		{"suspend", '~', "~\x1ax", "<4 ^Z>x"},
		{"twice is once", '~', "~~.", "~."},
		{"three are two", '~', "~~~.", "~~."},
		{"no escape", '~', "~x~.", "~x~."},
		{"no escape, but a new line", '~', "~\r~.", "~\r<1 .>"},
		{"small b", '~', "~b", "~b"},
		{"of ssh only", '~', "~C~R~&~v~V~Ix", "<6 C><6 R><6 &><6 v><6 V><6 I>x"},
		{"another character", 0x1d, "~.\r\x1d.", "~.\r<1 .>"},
		{"another character twice", 0x1d, "\x1d\x1d.", "\x1d."},
		{"the character is a command's", 'B', "BB", "<5 B>"},
		{"eight bits", 0xfe, "\xfe.", "<1 .>"},
		{"none", None, "~.\r\xff.", "~.\r\xff."},
		{"empty", '~', "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := typed(NewEscaper(tt.char), tt.in); got != tt.want {
				t.Errorf("%q gave %q, want %q", tt.in, got, tt.want)
			}
			if got := typed(NewEscaper(tt.char), strings.Split(tt.in, "")...); got != tt.want {
				t.Errorf("%q byte by byte gave %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

// FuzzEscaper holds that chunks make no difference, that without escapes
// nothing is lost, and that the input is not written to.
func FuzzEscaper(f *testing.F) {
	f.Add([]byte("a\r~~~x\n~?~\x1a~.rest"), uint16('~'), uint64(0b1011011))
	f.Add([]byte("~"), uint16('~'), uint64(0))
	f.Add([]byte("\xff\xff.\xff"), uint16(256), uint64(3))
	f.Fuzz(func(t *testing.T, in []byte, char uint16, cuts uint64) {
		c := int(char)
		if char > 255 {
			c = None
		}
		given := bytes.Clone(in)
		whole := typed(NewEscaper(c), string(in))
		var chunks []string
		from := 0
		for i := range in {
			if cuts>>(i%64)&1 == 1 {
				chunks = append(chunks, string(in[from:i]))
				from = i
			}
		}
		if got := typed(NewEscaper(c), append(chunks, string(in[from:]))...); got != whole {
			t.Errorf("%q cut by %b gave %q, whole %q", in, cuts, got, whole)
		}
		NewEscaper(c).Feed(in)
		if !bytes.Equal(in, given) {
			t.Errorf("%q was changed to %q", given, in)
		}
		if (c == None || bytes.IndexByte(in, byte(c)) < 0) && whole != string(in) {
			t.Errorf("%q without escapes gave %q", in, whole)
		}
	})
}

func TestEscapeText(t *testing.T) {
	for _, tt := range []struct {
		char int
		ev   Event
		want string
	}{
		{'~', Event{Action: Pass, Bytes: []byte("x")}, ""},
		{'~', Event{Action: Disconnect, Key: '.'}, "~.\r\n"},
		{'~', Event{Action: Break, Key: 'B'}, "~B\r\n"},
		{'~', Event{Action: Suspend, Key: ctrlZ}, "~^Z [suspend muxc]\r\n"},
		{'~', Event{Action: Unavailable, Key: 'C'}, "~C escape is not available in muxc\r\n"},
		{0x1d, Event{Action: List, Key: '#'}, "^]#\r\n"},
	} {
		if got := NewEscaper(tt.char).Text(tt.ev); got != tt.want {
			t.Errorf("%q: %q, want %q", rune(tt.char), got, tt.want)
		}
	}
}

// TestHelp holds the list to the escapes that do something.
func TestHelp(t *testing.T) {
	text := NewEscaper('%').Text(Event{Action: Help, Key: '?'})
	if strings.Contains(text, "~") || strings.Count(text, "\n") != strings.Count(text, "\r\n") {
		t.Errorf("not for this escape character, or not for a raw terminal: %q", text)
	}
	for key := range 256 {
		a := actionOf(byte(key))
		listed := strings.Contains(text, "\r\n %"+keyName(byte(key))+" ")
		if want := a != Pass && a != Unavailable || key == '%'; listed != want {
			t.Errorf("%q is listed: %v, want %v", rune(key), listed, want)
		}
	}
}
