package dest

import (
	"strings"
	"testing"

	"muxd/control"
)

// recorded are command lines as git 2.39, scp and sftp of OpenSSH 9.2, rsync
// 3.2 and ansible 2.14 gave them to a program in ssh's place; a word stands
// between bars where it has blanks.
var recorded = []struct {
	program, argv string
	kind          control.SessionKind // "" for -G
	command       string
	tty           bool
	port          int
}{
	{"git", "-G -o SendEnv=GIT_PROTOCOL u@h", "", "", false, 22},
	{"git", "-o SendEnv=GIT_PROTOCOL -p 2200 u@h |git-upload-pack '/x'|", control.Exec, "git-upload-pack '/x'", false, 2200},
	{"git, simple", "u@h |git-upload-pack 'x'|", control.Exec, "git-upload-pack 'x'", false, 22},
	{"scp", "-x -oPermitLocalCommand=no -oClearAllForwardings=yes -oRemoteCommand=none -oRequestTTY=no -oForwardAgent=no -p 2200 -l u -s -- h sftp",
		control.Subsystem, "sftp", false, 2200},
	{"scp -O", "-x -oPermitLocalCommand=no -oClearAllForwardings=yes -oRemoteCommand=none -oRequestTTY=no -oForwardAgent=no -l u -- h |scp -f /tmp/x|",
		control.Exec, "scp -f /tmp/x", false, 22},
	{"scp -O, up", "-x -oPermitLocalCommand=no -oClearAllForwardings=yes -oRemoteCommand=none -oRequestTTY=no -oForwardAgent=no -l u -- h |scp -t /tmp/x|",
		control.Exec, "scp -t /tmp/x", false, 22},
	{"sftp", "|-oForwardX11 no| |-oPermitLocalCommand no| |-oClearAllForwardings yes| |-obatchmode yes| |-oForwardAgent no| |-oPort 2200| -l u -s -- h sftp",
		control.Subsystem, "sftp", false, 2200},
	{"rsync", "-l u h rsync --server -e.LsfxCIvu . /tmp/", control.Exec, "rsync --server -e.LsfxCIvu . /tmp/", false, 22},
	{"rsync -e 'muxc -p 2200'", "-p 2200 -l u h rsync --server --sender -logDtpre.iLsfxCIvu . /tmp/x",
		control.Exec, "rsync --server --sender -logDtpre.iLsfxCIvu . /tmp/x", false, 2200},
	{"ansible raw", `-C -o ControlMaster=auto -o ControlPersist=60s -o KbdInteractiveAuthentication=no -o PreferredAuthentications=gssapi-with-mic,gssapi-keyex,hostbased,publickey ` +
		`-o PasswordAuthentication=no -o User="u" -o ConnectTimeout=10 -o ControlPath="/nobody/.ansible/cp/7015673912" -tt h |echo hi|`, control.Exec, "echo hi", true, 22},
	{"ansible", `-C -o ControlMaster=auto -o ControlPersist=60s -o KbdInteractiveAuthentication=no -o PreferredAuthentications=gssapi-with-mic,gssapi-keyex,hostbased,publickey ` +
		`-o PasswordAuthentication=no -o User="u" -o ConnectTimeout=10 -o ControlPath="/nobody/.ansible/cp/7015673912" h |/bin/sh -c 'echo ~u && sleep 0'|`,
		control.Exec, "/bin/sh -c 'echo ~u && sleep 0'", false, 22},
}

// words takes a recorded command line apart.
func words(argv string) (out []string) {
	for i, part := range strings.Split(argv, "|") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

func TestRecordedCommandLines(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for _, c := range recorded {
			plan, err := r.plan(nil, words(c.argv)...)
			if err != nil {
				t.Errorf("%s: %v", c.program, err)
				continue
			}
			if c.kind == "" {
				if text := string(plan.Text); !strings.Contains(text, "\nuser u\n") || !strings.Contains(text, "\nhostname h\n") {
					t.Errorf("%s: prints %q", c.program, text)
				}
				continue
			}
			s := plan.Session
			d := s.Dest.(*Destination)
			if s.Kind != c.kind || s.Command != c.command || (s.TTY != nil) != c.tty || d.Port != c.port || d.User != "u" || d.Host != "h" {
				t.Errorf("%s: %s %q, terminal %v, at %s@%s", c.program, s.Kind, s.Command, s.TTY != nil, d.User, d.Addr())
			}
		}
	})
}

// FdPass that stands in a file is for -W alone, and everything else is as without
// it.
func TestFdPassOfAFile(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.OwnFile = r.write("own", "Host host\n FdPass yes\n")
		for _, tt := range []struct {
			args string
			want bool
		}{{"-W db:22 host", true}, {"host", false}, {"host true", false}, {"-N -L 1:a:2 host", false}, {"-s host sftp", false}, {"-O check host", false}} {
			plan, err := r.plan(nil, strings.Fields(tt.args)...)
			if err != nil || plan.FdPass != tt.want {
				t.Errorf("%s: %v, %v", tt.args, plan != nil && plan.FdPass, err)
			}
		}
	})
}
