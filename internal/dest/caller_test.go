package dest

import (
	"strings"
	"testing"

	"muxd/internal/getopt"
)

func parsed(t *testing.T, args string) *getopt.CommandLine {
	t.Helper()
	line, err := getopt.ParseSSH(strings.Fields(args))
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// What a person types at ssh to say which connection is meant must not end up on
// one that -O prepare made without it.
func TestCallerObjects(t *testing.T) {
	own := parsed(t, "-F /conf/file -O prepare -S /x/y -l me -p 22 host")
	for args, want := range map[string]string{
		"host": "", "-p 22 -l me host": "", "-t -A -X -v -n -L 1:a:2 -R 3:b:4 -D 5 host cmd": "", "-F /conf/file host": "", "-F file host": "",
		"-F other host": "-F", "-i key host": "-i", "-J jump host": "-J", "-S none host": "-S", "-M host": "-M", "-b 10.0.0.1 host": "-b",
		"-4 host": "-4", "-c aes128-ctr host": "-c", "-w 0 host": "-w",
		"-o IdentityFile=key host": "-o IdentityFile", "-o proxycommand=nc host": "-o proxycommand", "-oHostName=other host": "-o HostName",
		"-o StrictHostKeyChecking=no host": "-o StrictHostKeyChecking", "-o UserKnownHostsFile=/dev/null host": "-o UserKnownHostsFile",
		"-o ControlPath=none host": "-o ControlPath", "-o ControlMaster=auto host": "-o ControlMaster",
		// As scp and sftp call it.
		"-x -oPermitLocalCommand=no -oClearAllForwardings=yes -oRemoteCommand=none -oRequestTTY=no -oControlMaster=no -- host": "",
		"-o ServerAliveInterval=5 -o BatchMode=yes -o SetEnv=A=b host":                                                         "",
	} {
		c := &caller{parsed(t, args), "/conf"}
		if got := c.objection(own); !strings.EqualFold(got, want) {
			t.Errorf("ssh %s: %q, want %q", args, got, want)
		}
	}
}

func TestCallerAsks(t *testing.T) {
	for args, want := range map[string][3]bool{
		"host": {}, "-G host": {true}, "-O check host": {false, true}, "-oBatchMode=yes host": {false, false, true}, "-o batchmode=no host": {},
	} {
		c := &caller{parsed(t, args), ""}
		if got := [3]bool{c.asksOnly(), c.manages(), c.batch()}; got != want {
			t.Errorf("ssh %s: %v, want %v", args, got, want)
		}
	}
}

// Muxd must not be asked to ask itself.
func TestPrepareIsNotRunByMuxd(t *testing.T) {
	for command, want := range map[string]bool{
		"muxc -O prepare -S /x -l a -p 1 h": true, "/usr/bin/muxc -F /c -O prepare -S /x h": true, "test -f x": false,
	} {
		if prepares(command) != want {
			t.Error(command)
		}
	}
}
