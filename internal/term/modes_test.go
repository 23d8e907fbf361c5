package term

import (
	"encoding/binary"
	"os"
	"slices"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// open returns both ends of a terminal that controls nobody.
func open(t *testing.T) (master, tty *os.File) {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { master.Close(); tty.Close() })
	return master, tty
}

func modesOf(t *testing.T, fd int) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

// decode reads what Modes wrote, as a server does.
func decode(t *testing.T, b []byte) (ops []byte, values map[byte]uint32) {
	t.Helper()
	values = map[byte]uint32{}
	for len(b) > 1 {
		if len(b) < 6 {
			t.Fatalf("%d bytes at the end make no opcode", len(b))
		}
		ops = append(ops, b[0])
		values[b[0]] = binary.BigEndian.Uint32(b[1:])
		b = b[5:]
	}
	if len(b) != 1 || b[0] != opEnd {
		t.Fatal("there is no end mark")
	}
	return ops, values
}

func TestModes(t *testing.T) {
	_, tty := open(t)
	m := modesOf(t, int(tty.Fd()))
	m.Cc[unix.VINTR], m.Cc[unix.VSUSP] = 7, charDisabled
	m.Iflag = m.Iflag&^unix.IXON | unix.IUTF8
	m.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(int(tty.Fd()), setTermios, &m); err != nil {
		t.Fatal(err)
	}
	b, err := Modes(int(tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	ops, values := decode(t, b)
	for op, want := range map[byte]uint32{1: 7, 2: 0x1c, 10: 255, 38: 0, 42: 1, 50: 1, 53: 0, 70: 1, 91: 1,
		opISpeed: 38400, opOSpeed: 38400} {
		if got, ok := values[op]; !ok || got != want {
			t.Errorf("opcode %d is %d (sent: %v), want %d", op, got, ok, want)
		}
	}
	if ops[0] != opOSpeed || ops[1] != opISpeed || !slices.IsSorted(ops[2:]) || len(values) != len(ops) {
		t.Errorf("opcodes are out of order or twice: %d", ops)
	}
	if again, _ := Modes(int(tty.Fd())); !slices.Equal(again, b) {
		t.Error("asked twice, it says different things")
	}
}

// TestModeFlags flips every flag that has an opcode, and looks for the change in
// that opcode's value and nowhere else (but CS8 holds the bits of CS7).
func TestModeFlags(t *testing.T) {
	var none unix.Termios
	_, before := decode(t, encodeModes(&none))
	for _, f := range modeFlags {
		if f.bits == 0 {
			continue
		}
		t1 := none
		switch {
		case f.op < 50:
			t1.Iflag = f.bits
		case f.op < 70:
			t1.Lflag = f.bits
		case f.op < 90:
			t1.Oflag = f.bits
		default:
			t1.Cflag = f.bits
		}
		_, after := decode(t, encodeModes(&t1))
		for op, v := range after {
			if (v != before[op]) != (op == f.op) && f.op/10 != 9 {
				t.Errorf("flag of opcode %d shows in opcode %d", f.op, op)
			}
		}
		if after[f.op] != 1 {
			t.Errorf("flag of opcode %d is sent as %d", f.op, after[f.op])
		}
	}
}

func TestModeChars(t *testing.T) {
	var m unix.Termios
	for i := range m.Cc {
		m.Cc[i] = uint8(100 + i)
	}
	_, values := decode(t, encodeModes(&m))
	for _, c := range modeChars {
		if c.at >= 0 && values[c.op] != uint32(100+c.at) {
			t.Errorf("opcode %d is %d, want %d", c.op, values[c.op], 100+c.at)
		}
	}
}

func TestNoTerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, f := range []*os.File{r, null} {
		fd := int(f.Fd())
		if b, err := Modes(fd); b != nil || err != nil {
			t.Errorf("%s: modes %x, %v", f.Name(), b, err)
		}
		if IsTerminal(fd) {
			t.Errorf("%s is taken for a terminal", f.Name())
		}
		if w, err := Size(fd); err == nil {
			t.Errorf("%s has the size %v", f.Name(), w)
		}
		if _, err := Raw(fd); err == nil {
			t.Errorf("%s was made raw", f.Name())
		}
	}
	if b, err := Modes(-1); b != nil || err == nil {
		t.Errorf("a closed descriptor: modes %x, %v", b, err)
	}
}

func TestSize(t *testing.T) {
	master, tty := open(t)
	if err := pty.Setsize(master, &pty.Winsize{Rows: 25, Cols: 81, X: 648, Y: 400}); err != nil {
		t.Fatal(err)
	}
	got, err := Size(int(tty.Fd()))
	if want := (Window{Cols: 81, Rows: 25, XPixels: 648, YPixels: 400}); err != nil || got != want {
		t.Errorf("size %+v, %v; want %+v", got, err, want)
	}
	if !IsTerminal(int(tty.Fd())) {
		t.Error("a terminal is not taken for one")
	}
}
