package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// peerDoor is a door through which a test's programs come, told nothing but its
// path, with one login at its end.
func peerDoor(t *testing.T, programs ...string) *doorway {
	t.Helper()
	sshtest.Require(t, programs...)
	d := openDoor(t)
	t.Cleanup(func() {
		if n := d.sshd.Logins(); n != 1 && !t.Failed() {
			t.Errorf("%d logins, want 1", n)
		}
	})
	return d
}

// master is the option by which stock programs find the door.
func (d *doorway) master() string { return "ControlPath=" + d.path }

func TestDoorForScp(t *testing.T) {
	d := peerDoor(t, "scp")
	big := d.random("big", 2<<20)
	os.Mkdir(filepath.Join(d.dir, "tree"), 0o755)
	d.random("tree/one", 10)
	d.random("tree/two", 100<<10)
	for _, protocol := range []string{"-O", "-s"} {
		up, down, tree := filepath.Join(d.dir, "up"), filepath.Join(d.dir, "down"), filepath.Join(d.dir, "copy")
		scp := func(args ...string) result {
			return d.run(d.command("scp", append([]string{"-q", protocol, "-F", d.cfg, "-o", d.master()}, args...)...), nil)
		}
		scp(big, "box:"+up).is(t, "", "", 0)
		d.same(big, up)
		scp("box:"+up, down).is(t, "", "", 0)
		d.same(big, down)
		scp("-r", filepath.Join(d.dir, "tree"), "box:"+tree).is(t, "", "", 0)
		d.same(filepath.Join(d.dir, "tree/two"), filepath.Join(tree, "two"))
		scp("-3", "box:"+up, "box:"+down).is(t, "", "", 0) // two sessions at once
		if r := scp("box:"+d.dir+"/none", down); r.code != 1 || !strings.Contains(r.err, "No such file") {
			t.Errorf("%s: a file that is not there: %+v", protocol, r)
		}
		for _, path := range []string{up, down, tree} {
			os.RemoveAll(path)
		}
	}
}

func TestDoorForSftp(t *testing.T) {
	d := peerDoor(t, "sftp")
	big := d.random("big", 2<<20)
	batch := write(t, filepath.Join(d.dir, "batch"), "put "+big+" "+d.dir+"/b\nget "+d.dir+"/b "+d.dir+"/back\nls -l "+d.dir+"/b\nrename "+d.dir+"/b "+d.dir+"/e\n")
	d.ok(d.command("sftp", "-q", "-F", d.cfg, "-o", d.master(), "-b", batch, "box"))
	d.same(big, d.dir+"/back")
	d.same(big, d.dir+"/e")
	// One that is killed in the middle of a transfer leaves the others alone.
	p := d.start(d.command("sftp", "-q", "-l", "4000", "-F", d.cfg, "-o", d.master(), "box:"+d.dir+"/back", d.dir+"/slow"), nil)
	d.eventually("it has begun", func() bool { return fileSize(d.dir+"/slow") > 0 })
	p.cmd.Process.Kill()
	p.wait()
	d.ok(d.command("sftp", "-q", "-F", d.cfg, "-o", d.master(), "box:"+d.dir+"/back", d.dir+"/whole"))
	d.same(big, d.dir+"/whole")
}

func TestDoorForRsync(t *testing.T) {
	d := peerDoor(t, "rsync")
	big := d.random("big", 2<<20)
	by := "ssh -F " + d.cfg + " -o " + d.master()
	d.ok(d.command("rsync", "-az", "-e", by, big, "box:"+d.dir+"/b"))
	d.same(big, d.dir+"/b")
	d.ok(d.command("rsync", "-a", "-e", by, "box:"+d.dir+"/b", d.dir+"/back"))
	d.same(big, d.dir+"/back")
	if r := d.run(d.command("rsync", "-a", "-e", by, "box:"+d.dir+"/none", d.dir+"/x"), nil); r.code != 23 {
		t.Errorf("a file that is not there: %+v", r)
	}
}

func TestDoorForGit(t *testing.T) {
	d := peerDoor(t, "git")
	d.env = append(d.env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b", "GIT_SSH_COMMAND=ssh -F "+d.cfg+" -o "+d.master())
	origin := filepath.Join(d.dir, "origin")
	d.ok(d.command("git", "init", "-q", "-b", "main", origin))
	d.random("origin/file", 3<<20)
	d.ok(d.command("git", "-C", origin, "add", "."))
	d.ok(d.command("git", "-C", origin, "commit", "-qm", "one"))
	d.ok(d.command("git", "-C", origin, "config", "receive.denyCurrentBranch", "updateInstead"))
	d.ok(d.command("git", "clone", "-q", "box:"+origin, "clone"))
	d.same(filepath.Join(origin, "file"), filepath.Join(d.dir, "clone/file"))
	d.random("clone/file", 3<<20)
	d.ok(d.command("git", "-C", "clone", "commit", "-qam", "two"))
	d.ok(d.command("git", "-C", "clone", "push", "-q"))
	d.same(filepath.Join(d.dir, "clone/file"), filepath.Join(origin, "file"))
	d.ok(d.command("git", "-C", "clone", "fetch", "-q", "--all"))
	if r := d.run(d.command("git", "ls-remote", "box:"+d.dir+"/none"), nil); r.code != 128 {
		t.Errorf("a repository that is not there: %+v", r)
	}
}

// Ansible would have ssh be a master of its own; with the path alone it uses this
// one.
func TestDoorForAnsible(t *testing.T) {
	d := peerDoor(t, "ansible", "python3")
	d.env = append(d.env, "ANSIBLE_LOCAL_TEMP="+d.dir+"/at", "ANSIBLE_NOCOLOR=1", "ANSIBLE_HOME="+d.dir, "LC_ALL=C.UTF-8",
		"ANSIBLE_SSH_USETTY=False", "ANSIBLE_SSH_ARGS=-F "+d.cfg+" -o "+d.master())
	a := d.random("a", 100<<10)
	common := []string{"box", "-i", "box,", "-o", "-e", "ansible_python_interpreter=/usr/bin/python3", "-e", "ansible_remote_tmp=" + d.dir + "/rt"}
	for _, args := range [][]string{{"-m", "raw", "-a", "echo works"}, {"-m", "copy", "-a", "src=" + a + " dest=" + d.dir + "/b"}} {
		r := d.run(d.command("ansible", append(common, args...)...), nil)
		if r.code != 0 || !strings.Contains(r.out, "box | ") || strings.Contains(r.out, "UNREACHABLE") || strings.Contains(r.out, "FAILED") {
			t.Fatalf("%v: exit %d, %q, %q", args, r.code, r.out, r.err)
		}
	}
	d.same(a, d.dir+"/b")
}

func TestDoorForSshfs(t *testing.T) {
	d := peerDoor(t, "sshfs", "fusermount3")
	sshtest.Require(t, "/dev/fuse")
	mount, far := filepath.Join(d.dir, "mount"), filepath.Join(d.dir, "far")
	os.Mkdir(mount, 0o755)
	os.Mkdir(far, 0o755)
	big := d.random("far/big", 3<<20)
	c := d.command("sshfs", "-f", "-F", d.cfg, "-o", d.master(), "box:"+far, mount)
	p := d.start(c, nil)
	d.eventually("it is mounted", func() bool {
		_, err := os.Stat(filepath.Join(mount, "big"))
		return err == nil || closed(p.done)
	})
	if closed(p.done) {
		sshtest.Lacks(t, "/dev/fuse", fmt.Errorf("sshfs cannot mount: %+v", p.wait()))
	}
	defer d.run(d.command("fusermount3", "-uz", mount), nil)
	d.same(big, filepath.Join(mount, "big"))
	write(t, filepath.Join(mount, "new"), "text")
	d.eventually("it is there", func() bool { return read(t, filepath.Join(far, "new")) == "text" }) // sshfs writes when it likes
}
