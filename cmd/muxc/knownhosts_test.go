package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// KnownHostsCommand is run by the client: its own directory and environment,
// for every login and for none of the commands that need no login.
func TestKnownHostsCommand(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	script := filepath.Join(h.dir, "khc")
	body := "#!/bin/sh\necho \"$1 $2 $PWD $MINE\" >>" + h.dir + "/calls\necho words on stderr >&2\n[ \"$FAIL\" ] && exit 3\n[ \"$1\" = ORDER ] || cat <<end\n" + h.sshd.KnownHostsLine + "\nend\n"
	if err := os.WriteFile(script, []byte(body), 0o700); err != nil {
		t.Fatal(err)
	}
	h.setenv("MINE", "mine")
	args := []string{"-o", "UserKnownHostsFile=/dev/null", "-o", "KnownHostsCommand=" + script + " %I %H", "box", "echo works"}
	said := strings.Repeat("words on stderr\n", 2) // what ssh shows too
	h.run(h.muxc(args...), nil).is(t, "works\n", said, 0)
	name := strings.Fields(h.sshd.KnownHostsLine)[0]
	calls := "ORDER " + name + " " + h.dir + " mine\nHOSTNAME " + name + " " + h.dir + " mine\n"
	if got := read(t, filepath.Join(h.dir, "calls")); got != calls {
		t.Errorf("calls %q, want %q", got, calls)
	}
	h.run(h.muxc(args...), nil).is(t, "works\n", "", 0)
	h.run(h.muxc("-O", "exit", "-o", "UserKnownHostsFile=/dev/null", "-o", "KnownHostsCommand="+script+" %I %H", "box"), nil)
	h.setenv("FAIL", "yes")
	r := h.run(h.muxc(args...), nil)
	if r.code != 255 || !strings.HasSuffix(r.err, "\nmuxc: box: KnownHostsCommand failed: it exited with status 3\n") {
		t.Errorf("%+v", r)
	}
	args[3] = "KnownHostsCommand=relative"
	h.run(h.muxc(args...), nil).fails(t, "KnownHostsCommand: relative is no absolute path")
	args[3] = "KnownHostsCommand=/no/such/program"
	h.run(h.muxc(args...), nil).fails(t, "KnownHostsCommand failed: /no/such/program: no such file or directory")
}

// A revoked key refuses the server, from a plain list and from a KRL.
func TestRevokedHostKeysOfTheServer(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh-keygen")
	h := startHost(t)
	pub := write(t, filepath.Join(h.dir, "host.pub"), string(ssh.MarshalAuthorizedKey(h.sshd.HostKey)))
	other := write(t, filepath.Join(h.dir, "other.pub"), sshtest.NewKey().Line())
	for name, from := range map[string]string{"revoked": pub, "fine": other} {
		krl := filepath.Join(h.dir, name+".krl")
		if out, err := exec.Command("ssh-keygen", "-q", "-k", "-f", krl, from).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, file := range []string{pub, filepath.Join(h.dir, "revoked.krl")} {
		h.run(h.muxc("-o", "RevokedHostKeys="+file, "box", "true"), nil).fails(t, "host key verification failed: .* revoked")
	}
	for _, file := range []string{other, filepath.Join(h.dir, "fine.krl")} {
		h.echo("-o", "RevokedHostKeys="+file)
	}
	h.run(h.muxc("-o", "RevokedHostKeys="+h.dir+"/missing", "box", "true"), nil).fails(t, "missing")
}

// ^C goes to the client and to the command that it runs. Also when the command
// ends before the client hears of it, the request ends, and nothing is run
// remotely.
func TestInterruptedCommand(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	both := `{ sleep 0.1; kill -INT $PPID; } >/dev/null 2>&1 & kill -INT $$`
	script := write(t, filepath.Join(h.dir, "both"), "#!/bin/sh\n"+both+"\n")
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(h.dir, "mark")
	for _, option := range []string{"KnownHostsCommand=" + script, "LocalCommand=" + both} {
		h.run(h.muxc("-o", "PermitLocalCommand=yes", "-o", option, "box", "touch "+mark), nil).is(t, "", "", 130)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the command was run after ^C")
	}
	h.echo()
}
