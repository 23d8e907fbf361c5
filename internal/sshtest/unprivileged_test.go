package sshtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// ordinaryUser is an account that every Unix has. It is not nobody, because
// nss-systemd declares nobody locked to processes that cannot read the shadow
// file, and sshd without PAM refuses a locked account.
const ordinaryUser = "daemon"

// againAsOrdinaryUser runs the calling test in a copy of this test binary that
// is not root.
func againAsOrdinaryUser(t *testing.T) {
	t.Helper()
	account, err := user.Lookup(ordinaryUser)
	if err != nil {
		Lacks(t, "root", fmt.Errorf("an ordinary user: %w", err))
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	// Not t.TempDir, which is below a directory of ours alone.
	dir, err := os.MkdirTemp("", "user")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		Lacks(t, "/proc/self/stat", err)
	}
	path := filepath.Join(dir, "test")
	tmp := filepath.Join(dir, "tmp")
	err = errors.Join(os.WriteFile(path, binary, 0o755), os.Chmod(dir, 0o755), os.Mkdir(tmp, 0o700), os.Chown(tmp, uid, gid))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Dir = "/"
	cmd.Env = append(Env("/"), "TMPDIR="+tmp, RequireVar+"=sshd")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as "+ordinaryUser+": %v\n%s", err, out)
	}
}
