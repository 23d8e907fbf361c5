package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"muxd/internal/sshtest"
)

// TestDiskFull is F24: on a disk that takes not a byte more, muxd serves, starts
// anew, and says once what it could not write down. What stood there stands
// there still, and all goes on by itself once there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "netns") // root, to mount one
	h := startHost(t)
	small := filepath.Join(h.dir, "small")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=128k,mode=700"); err != nil {
		sshtest.Lacks(t, "netns", err)
	}
	t.Cleanup(func() { syscall.Unmount(small, syscall.MNT_DETACH) })
	known := filepath.Join(small, "known")
	h.cfg = h.sshd.ClientConfig(t, "box", "UserKnownHostsFile "+known, "StrictHostKeyChecking accept-new", "HashKnownHosts yes")
	h.setenv("XDG_STATE_HOME", filepath.Join(small, "state"))
	h.setenv("MUXD_SOCKET", filepath.Join(small, "ctl"))
	t.Cleanup(func() { h.run(h.command("muxd", "stop", "--force"), nil) }) // its log may not know of it
	// command runs one that must work on a host by another name, whose key is new,
	// and returns what was told.
	command := func(alias string) string {
		t.Helper()
		r := h.run(h.muxc("-o", "HostKeyAlias="+alias, "box", "echo works"), nil)
		if r.code != 0 || r.out != "works\n" {
			t.Fatalf("%s: %+v", alias, r)
		}
		return r.err
	}
	command("first")
	// A disk takes pages: this one will take half of a line.
	before := read(t, known)
	before += "#" + strings.Repeat("x", 4096-2-60-len(before)) + "\n"
	write(t, known, before)
	first := h.serving()

	fill(t, filepath.Join(small, "fill"))
	if said := command("second"); !strings.Contains(said, "no space left on device") || strings.Count(said, "\n") != 1 {
		t.Errorf("told %q", said)
	}
	if now := read(t, known); now != before {
		t.Errorf("known_hosts was %q and is %q", tail(before), tail(now))
	}
	kill(t, first, syscall.SIGKILL)
	h.eventually("it is gone", func() bool { return !isMuxd(first) })
	command("third")
	if h.serving() == first {
		t.Error("no other muxd")
	}
	h.run(h.command("muxd", "reconnect", "--all"), nil)
	command("fourth")

	if err := os.Remove(filepath.Join(small, "fill")); err != nil {
		t.Fatal(err)
	}
	if said := command("fifth"); !strings.HasPrefix(said, "Warning: Permanently added 'fifth'") {
		t.Errorf("with room again: told %q", said)
	}
	if now := read(t, known); !strings.HasPrefix(now, before) || len(now) == len(before) {
		t.Errorf("with room again: known_hosts was %q and is %q", tail(before), tail(now))
	}
	h.run(h.command("muxd", "reconnect", "--all"), nil)
	command("sixth")
	if log := read(t, filepath.Join(small, "state/muxd/muxd.log")); !strings.Contains(log, fmt.Sprint("pid=", h.serving())) {
		t.Errorf("with room again the log does not go on: %q", tail(log))
	}
}

// TestNoInodes is TestDiskFull where not even an empty file can be made: a socket
// is one. What cannot be served says so, what is served goes on, and with room
// again all works, with nothing to be removed.
func TestNoInodes(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "netns") // root, to mount some
	h := startHost(t)
	small := map[string]string{}
	for _, name := range []string{"run", "state", "door"} {
		dir := filepath.Join(h.dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,nr_inodes=20,mode=700"); err != nil {
			sshtest.Lacks(t, "netns", err)
		}
		t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
		small[name] = dir
	}
	known := filepath.Join(small["state"], "known")
	h.cfg = h.sshd.ClientConfig(t, "box", "UserKnownHostsFile "+known, "StrictHostKeyChecking accept-new")
	h.setenv("XDG_STATE_HOME", small["state"])
	h.setenv("MUXD_SOCKET", filepath.Join(small["run"], "ctl"))
	t.Cleanup(func() { h.run(h.command("muxd", "stop", "--force"), nil) }) // its log may not know of it
	works := func() string {
		t.Helper()
		r := h.run(h.muxc("-o", "Audit=yes", "box", "echo works"), nil)
		if r.code != 0 || r.out != "works\n" {
			t.Fatalf("%+v", r)
		}
		return r.err
	}
	door := filepath.Join(small["door"], "s")

	crowdFiles(t, small["run"])
	h.run(h.muxc("box", "true"), nil).fails(t, `box: .*/run/ctl\S*: no space left on device`)
	crowdFiles(t, small["state"])
	clearFiles(t, small["run"])
	if said := works(); !strings.Contains(said, "no space left on device") || strings.Count(said, "\n") != 1 { // of known_hosts
		t.Errorf("told %q", said)
	}
	crowdFiles(t, small["run"])
	crowdFiles(t, small["door"])
	h.run(h.muxc("-fNM", "-S", door, "box"), nil).fails(t, `box: .*no space left on device`)
	if said := works(); said != "" {
		t.Errorf("told %q", said)
	}
	log := filepath.Join(small["state"], "muxd/muxd.log")
	if _, err := os.Stat(log); err == nil {
		t.Error("there was room for a log")
	}

	clearFiles(t, small["state"])
	clearFiles(t, small["door"])
	works()
	if said := read(t, log); !strings.Contains(said, `msg="audit: channel"`) {
		t.Errorf("with room again the log says %q", tail(said))
	}
	h.run(h.muxc("-fNM", "-S", door, "box"), nil).is(t, "", "", 0)
	h.run(h.command("ssh", "-F", "none", "-S", door, "box", "echo works"), nil).is(t, "works\n", "", 0)

	// Where muxd was killed, its socket's place is another one's.
	pid := h.serving()
	kill(t, pid, syscall.SIGKILL)
	h.eventually("it is gone", func() bool { return !isMuxd(pid) })
	h.run(h.muxc("box", "true"), nil).fails(t, `box: start muxd: cannot serve .*/run/ctl: bind: no space left on device`)
	clearFiles(t, small["run"])
	works()
}

// serving is the muxd that answers, which a log that lost its beginning does not say.
func (h *host) serving() int {
	h.t.Helper()
	var st struct{ PID int }
	r := h.run(h.command("muxd", "status", "--json"), nil)
	if err := json.Unmarshal([]byte(r.out), &st); err != nil || r.code != 0 || !isMuxd(st.PID) {
		h.t.Fatalf("muxd status: %+v", r)
	}
	return st.PID
}

// crowdFiles makes empty files until there is no room for one.
func crowdFiles(t *testing.T, dir string) {
	t.Helper()
	for n := 0; ; n++ {
		f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint("full-", n)), os.O_CREATE|os.O_EXCL, 0o600)
		switch {
		case err == nil:
			f.Close()
		case errors.Is(err, syscall.ENOSPC):
			return
		default:
			t.Fatal(err)
		}
	}
}

// clearFiles removes those.
func clearFiles(t *testing.T, dir string) {
	t.Helper()
	all, _ := filepath.Glob(filepath.Join(dir, "full-*"))
	for _, f := range all {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

// fill writes to a file until the disk takes no more, then the rest of it byte by
// byte.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, n := range []int{4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, n))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}
