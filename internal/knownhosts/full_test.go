package knownhosts

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A disk that is full in the middle of a line or of a file is told, and leaves
// the file as it was, with nothing beside it.
func TestDiskFull(t *testing.T) {
	dir := os.Getenv("KNOWNHOSTS_TEST_FULL")
	if dir == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
		cmd.Env = append(os.Environ(), "KNOWNHOSTS_TEST_FULL="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	// In a child, because the limit is the process's.
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit) // -cover writes after us
	a, b := newEd(t).PublicKey(), newEC(t).PublicKey()
	q := Query{Host: "h"}
	for name, write := range map[string]func(file string) error{
		"a line":        func(file string) error { return Append(file, []string{"h"}, b, false) },
		"hashed lines":  func(file string) error { return Append(file, []string{"h", "192.0.2.1"}, b, true) },
		"other keys":    func(file string) error { return Replace([]string{file}, q, []ssh.PublicKey{b}, false) },
		"one key more":  func(file string) error { return Replace([]string{file}, q, []ssh.PublicKey{a, b}, false) },
		"no line's end": func(file string) error { return Append(file, []string{"x"}, b, false) },
	} {
		was := "h " + formatKey(a) + "\n# the end"
		if name != "no line's end" {
			was += "\n"
		}
		for room := range uint64(60) {
			small := t.TempDir()
			file := filepath.Join(small, "known_hosts")
			if err := os.WriteFile(file, []byte(was), 0o600); err != nil {
				t.Fatal(err)
			}
			// Replace writes a whole file, which begins with as many bytes as there were.
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(len(was)) + room, Max: limit.Max}); err != nil {
				t.Fatal(err)
			}
			err := write(file)
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
				t.Fatal(err)
			}
			if err == nil {
				t.Errorf("%s, %d bytes of room: nothing was full", name, room)
			}
			if now := readFile(t, file); now != was {
				t.Errorf("%s, %d bytes of room: left %q of %q", name, room, now, was)
			}
			if all, _ := os.ReadDir(small); len(all) != 1 {
				t.Errorf("%s: left behind: %v", name, all)
			}
		}
	}
}
