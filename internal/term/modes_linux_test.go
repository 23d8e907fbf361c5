package term

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestSpeeds(t *testing.T) {
	for _, tt := range []struct{ cflag, in, out uint32 }{
		{unix.B0, 0, 0},
		{unix.B9600 | unix.CS8, 9600, 9600},
		{unix.B230400, 230400, 230400},
		{unix.B115200 | unix.B1200*(unix.CIBAUD/unix.CBAUD), 1200, 115200},
		{unix.BOTHER, 9600, 9600},
	} {
		if in, out := speeds(&unix.Termios{Cflag: tt.cflag}); in != tt.in || out != tt.out {
			t.Errorf("%o: %d and %d, want %d and %d", tt.cflag, in, out, tt.in, tt.out)
		}
	}
}
