package sshtest

import (
	"fmt"
	"os"
	"os/exec"
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
// names: "sshd", "netns" (root, Linux, ip, nft and nsenter), or any program,
// such as "ssh", "rsync" and "git". Names that RequireVar lists fail the test
// instead.
func Require(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		err := missing(name)
		if err == nil {
			continue
		}
		if required(os.Getenv(RequireVar), name) {
			t.Fatalf("needs %s, which %s requires: %v", name, RequireVar, err)
		}
		t.Skipf("needs %s: %v", name, err)
	}
}

// required says whether the list, as in RequireVar, has the name.
func required(list, name string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(s string) bool {
		return strings.TrimSpace(s) == name
	})
}

func missing(name string) error {
	switch name {
	case "sshd":
		_, err := sshdPath()
		return err
	case "netns":
		return netnsMissing()
	}
	_, err := exec.LookPath(name)
	return err
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
