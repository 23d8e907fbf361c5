package socket

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"muxd/internal/sshtest"
)

// inUserNamespace starts a role in a user namespace that has these numbers.
func inUserNamespace(t *testing.T, role string, p Place, uids ...syscall.SysProcIDMap) *child {
	t.Helper()
	needRoot(t)
	probe := exec.Command("/bin/true")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	if err := probe.Run(); err != nil {
		sshtest.Lacks(t, "userns", err)
	}
	cmd := exec.Command(program(t, p))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: uids}
	if len(uids) > 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{NoSetGroups: true}
		cmd.SysProcAttr.GidMappings = uids
	}
	return startCmd(t, cmd, role, p)
}

// TestRootOfAUserNamespace: who is root in a namespace of his own is who he is
// outside, and what he calls himself counts for nothing.
func TestRootOfAUserNamespace(t *testing.T) {
	needRoot(t)
	p := newPlace(t)
	l := listen(t, p)
	told := make(chan string, 1)
	l.OnReject = func(err error) { told <- err.Error() }
	greet(t, l)
	ok(t, errors.Join(os.Chmod(p.Dir, 0o755), os.Chmod(p.Path(), 0o666)))
	c := inUserNamespace(t, "knock", p, syscall.SysProcIDMap{ContainerID: 0, HostID: nobody, Size: 1})
	c.expect("uid 0: 0 bytes, EOF")
	if got := <-told; !strings.Contains(got, "the peer is uid 65534") {
		t.Error(got)
	}
}

// program is a copy of the test binary where every user can run it.
func program(t *testing.T, p Place) string {
	t.Helper()
	b, err := os.ReadFile(os.Args[0])
	ok(t, err)
	path := filepath.Join(filepath.Dir(p.Dir), "test")
	ok(t, os.WriteFile(path, b, 0o700))
	ok(t, os.Chmod(path, 0o755))
	return path
}

// TestNobodyInAUserNamespace: where a namespace has no number for its user, the
// kernel calls him 65534 as it does everybody else, and equal numbers mean
// nothing.
func TestNobodyInAUserNamespace(t *testing.T) {
	p := newPlace(t)
	ok(t, p.Prepare())
	c := inUserNamespace(t, "unnamed", p)
	c.expect("uid 65534")
	for _, side := range []string{"Prepare", "Listen", "ListenAt", "Dial", "peer"} {
		if got := c.line(); !strings.HasPrefix(got, side+": this user namespace has no number for its user") {
			t.Errorf("%s: %q", side, got)
		}
	}
}

func unnamedRole(p Place) error {
	fmt.Println("uid", os.Geteuid())
	fmt.Printf("Prepare: %v\n", p.Prepare())
	fmt.Printf("Listen: %v\n", second(Listen(p)))
	fmt.Printf("ListenAt: %v\n", second(ListenAt(p.Dir+"/other")))
	fmt.Printf("Dial: %v\n", second(Dial(p)))
	fmt.Printf("peer: %v\n", peer{uid: overflowUID}.check())
	return nil
}

func TestMapOfNumbers(t *testing.T) {
	for table, want := range map[string]bool{
		"         0          0 4294967295\n":    true,
		"         0     100000      65536\n":    true,
		"0 1000 1\n":                            false,
		"0 1000 1\n1 100000 65533\n":            false,
		"0 1000 1\n1 100000 65534\n":            true,
		"65534 5 1\n":                           true,
		"":                                      false,
		"nonsense\n0 0 x\n65535 0 1\n0 0 65534": false,
	} {
		if got := maps(table, overflowUID); got != want {
			t.Errorf("%q: %v", table, got)
		}
	}
}
