package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"muxd/internal/sshtest"
)

// asNobody has everything that the host starts from now on run as a user who
// is not root; who is none already needs nothing.
func (h *host) asNobody() {
	h.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	// The fixture's files are in directories that only root may enter.
	text := read(h.t, h.cfg)
	for _, path := range []string{h.sshd.ClientKey, h.sshd.KnownHosts} {
		text = strings.ReplaceAll(text, path, write(h.t, filepath.Join(h.dir, filepath.Base(path)), read(h.t, path)))
	}
	h.cfg = write(h.t, filepath.Join(h.dir, "config"), text)
	const nobody = 65534
	err := filepath.WalkDir(h.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.enter = func(args ...string) *exec.Cmd {
		c := exec.Command(args[0], args[1:]...)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		return c
	}
}

// TestPrivilegedPort: who may not have it is told so, and why.
func TestPrivilegedPort(t *testing.T) {
	t.Parallel()
	if first := strings.TrimSpace(maybe("/proc/sys/net/ipv4/ip_unprivileged_port_start")); number(first) < 1024 {
		sshtest.Lacks(t, "low-ports", fmt.Errorf("ports that are root's: all from %s are anybody's", first))
	}
	h := startHost(t)
	h.asNobody()
	h.run(h.muxc("-N", "-o", "ExitOnForwardFailure=yes", "-L", "127.0.0.1:811:127.0.0.1:1", "box"), nil).
		fails(t, quote("box: listen on 127.0.0.1:811: permission denied (ports below 1024 are root's)"))
	f, port := serveTCP(t, parrot), freePort(t)
	p := h.start(h.muxc("-N", "-L", "127.0.0.1:811:127.0.0.1:1", "-L", at("%d:127.0.0.1:%d", port, f.port), "box"), blocked(t))
	h.stands(p, 1)
	parrots(t, loopback(port), 2)
	if st := h.forward("-L 127.0.0.1:811:127.0.0.1:1"); st.State != "degraded" || st.Next.IsZero() {
		t.Errorf("%+v", st)
	}
	// A directory in which only another may write.
	if os.Geteuid() == 0 {
		dir := t.TempDir()
		h.run(h.muxc("-N", "-o", "ExitOnForwardFailure=yes", "-L", dir+"/p:127.0.0.1:1", "box"), nil).
			fails(t, quote("box: listen on "+dir+"/p: permission denied"))
	}
}
