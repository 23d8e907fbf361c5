package sshtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// RequireVar names the environment variable that lists, separated by commas,
// what must not be missing: "sshd,netns". CI sets it, so that a broken machine
// fails instead of skipping everything.
const RequireVar = "MUX_TEST_REQUIRE"

// Require skips the test with one line when this machine lacks one of the
// names: "sshd", "netns" (root, Linux, ip, nft and nsenter), "root", "ipv6", a
// file that can be opened, such as "/dev/fuse", or any program, such as "ssh",
// "rsync" and "git". Names that RequireVar lists fail the test instead.
func Require(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := missing(name); err != nil {
			Lacks(t, name, err)
		}
	}
}

// Lacks ends the test as Require does, because of what this machine's program
// cannot do, or of something that Require has no name for.
func Lacks(t testing.TB, name string, err error) {
	t.Helper()
	if required(os.Getenv(RequireVar), name) {
		t.Fatalf("needs %s, which %s requires: %v", name, RequireVar, err)
	}
	t.Skipf("needs %s: %v", name, err)
}

// required says whether the list, as in RequireVar, has the name.
func required(list, name string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(s string) bool {
		return strings.TrimSpace(s) == name
	})
}

// Program returns the path of a program that the test needs, as Require says.
func Program(t testing.TB, name string) string {
	t.Helper()
	Require(t, name)
	path, _ := find(name)
	return path
}

// SoftHSM returns the library that is a smart card. It is needed as
// softhsm2-util is, which Require knows.
func SoftHSM(t testing.TB) string {
	t.Helper()
	Require(t, "softhsm2-util")
	for _, pattern := range []string{"/usr/lib*/*/softhsm/libsofthsm2.so", "/usr/lib*/softhsm/libsofthsm2.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	Lacks(t, "softhsm2-util", errors.New("no libsofthsm2.so"))
	return ""
}

func missing(name string) error {
	switch {
	case name == "netns":
		return netnsMissing()
	case name == "root":
		if os.Geteuid() != 0 {
			return errors.New("not root")
		}
		return nil
	case name == "ipv6":
		l, err := net.Listen("tcp6", "[::1]:0")
		if err == nil {
			l.Close()
		}
		return err
	case strings.HasPrefix(name, "/"):
		f, err := os.Open(name)
		if err == nil {
			f.Close()
		}
		return err
	}
	_, err := find(name)
	return err
}

func find(name string) (string, error) {
	if name == "sshd" {
		return sshdPath()
	}
	return exec.LookPath(name)
}

var netnsMissing = sync.OnceValue(probeNetns)

// sshdPath finds sshd, which must be started by its absolute path and is in
// directories that an ordinary user's PATH does not have.
func sshdPath() (string, error) {
	for _, path := range []string{"sshd", "/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"} {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("no sshd in PATH or the sbin directories")
}

// Env is the environment for a child process: a PATH, the given home, and the
// C locale, so that nothing of the tester's own shows in what it prints, and
// perl does not complain of a locale that is not installed.
func Env(home string) []string {
	return []string{
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
		"HOME=" + home, "LC_ALL=C", "TERM=dumb",
	}
}
