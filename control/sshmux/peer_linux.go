package sshmux

import (
	"io"
	"os"
	"strconv"
	"strings"
)

// maxProc bounds what is read of another process, in bytes: the kernel lets a
// command line and an environment together have a quarter of the stack.
const maxProc = 2 << 20

func environOf(pid int) []string { return words(pid, "environ") }
func argsOf(pid int) []string    { return words(pid, "cmdline") }

// words reads a file of zero-terminated words; nil if it cannot be read.
func words(pid int, name string) []string {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/" + name)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxProc))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}
