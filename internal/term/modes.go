package term

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Opcodes without a bit or a character of their own (RFC 4254 section 8).
const (
	opEnd    = 0
	opISpeed = 128
	opOSpeed = 129
)

// noChar is how a special character that is switched off is sent.
const noChar = 255

// modeChars are the special characters with an opcode, in opcode order; at is
// the index in c_cc, -1 where the system has no such character.
var modeChars = [...]struct {
	op byte
	at int
}{
	{1, unix.VINTR}, {2, unix.VQUIT}, {3, unix.VERASE}, {4, unix.VKILL}, {5, unix.VEOF},
	{6, unix.VEOL}, {7, unix.VEOL2}, {8, unix.VSTART}, {9, unix.VSTOP}, {10, unix.VSUSP},
	{11, charDSusp}, {12, unix.VREPRINT}, {13, unix.VWERASE}, {14, unix.VLNEXT},
	{17, charStatus}, {18, unix.VDISCARD},
}

// modeFlags are the flags with an opcode, word by word; bits is 0 where the
// system has no such flag. CS7 is contained in CS8, and sent as OpenSSH sends
// it: a server that reads both ends with 8 bits.
var modeFlags = [...]struct {
	op   byte
	word func(*unix.Termios) modeWord
	bits modeWord
}{
	{30, iflag, unix.IGNPAR}, {31, iflag, unix.PARMRK}, {32, iflag, unix.INPCK}, {33, iflag, unix.ISTRIP},
	{34, iflag, unix.INLCR}, {35, iflag, unix.IGNCR}, {36, iflag, unix.ICRNL}, {37, iflag, flagIUCLC},
	{38, iflag, unix.IXON}, {39, iflag, unix.IXANY}, {40, iflag, unix.IXOFF}, {41, iflag, unix.IMAXBEL},
	{42, iflag, unix.IUTF8},

	{50, lflag, unix.ISIG}, {51, lflag, unix.ICANON}, {52, lflag, flagXCASE}, {53, lflag, unix.ECHO},
	{54, lflag, unix.ECHOE}, {55, lflag, unix.ECHOK}, {56, lflag, unix.ECHONL}, {57, lflag, unix.NOFLSH},
	{58, lflag, unix.TOSTOP}, {59, lflag, unix.IEXTEN}, {60, lflag, unix.ECHOCTL}, {61, lflag, unix.ECHOKE},
	{62, lflag, unix.PENDIN},

	{70, oflag, unix.OPOST}, {71, oflag, flagOLCUC}, {72, oflag, unix.ONLCR}, {73, oflag, unix.OCRNL},
	{74, oflag, unix.ONOCR}, {75, oflag, unix.ONLRET},

	{90, cflag, unix.CS7}, {91, cflag, unix.CS8}, {92, cflag, unix.PARENB}, {93, cflag, unix.PARODD},
}

func iflag(t *unix.Termios) modeWord { return t.Iflag }
func lflag(t *unix.Termios) modeWord { return t.Lflag }
func oflag(t *unix.Termios) modeWord { return t.Oflag }
func cflag(t *unix.Termios) modeWord { return t.Cflag }

// Modes returns the modes of the terminal fd as a pty-req carries them (RFC
// 4254 section 8): the speeds, the characters and the flags that OpenSSH sends
// (ttymodes.h), in its order, and the end mark. It is to be called before Raw,
// or the remote terminal will be raw too. It returns nil, which asks the server
// for its defaults, for an fd that is no terminal, and in the background, where
// the modes are those in which a shell edits its line.
func Modes(fd int) ([]byte, error) {
	if inBackground(fd) {
		return nil, nil
	}
	t, err := unix.IoctlGetTermios(fd, getTermios)
	switch err {
	case nil:
		return encodeModes(t), nil
	case unix.ENOTTY, unix.ENODEV, unix.EINVAL, unix.EOPNOTSUPP:
		return nil, nil
	}
	return nil, err
}

func encodeModes(t *unix.Termios) []byte {
	b := make([]byte, 0, 5*(2+len(modeChars)+len(modeFlags))+1)
	put := func(op byte, value uint32) { b = binary.BigEndian.AppendUint32(append(b, op), value) }
	in, out := speeds(t)
	put(opOSpeed, out)
	put(opISpeed, in)
	for _, c := range modeChars {
		if c.at >= 0 {
			put(c.op, encodeChar(t.Cc[c.at]))
		}
	}
	for _, f := range modeFlags {
		switch {
		case f.bits == 0:
		case f.word(t)&f.bits != 0:
			put(f.op, 1)
		default:
			put(f.op, 0)
		}
	}
	return append(b, opEnd)
}

func encodeChar(c uint8) uint32 {
	if c == charDisabled {
		return noChar
	}
	return uint32(c)
}
