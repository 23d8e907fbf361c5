package dest

import (
	"slices"
	"strings"
	"testing"

	"muxd/control"
)

func TestTTYRules(t *testing.T) {
	const message = "Pseudo-terminal will not be allocated because stdin is not a terminal."
	for _, c := range []struct {
		args    string
		stdin   bool // is a terminal
		tty     bool
		message bool
	}{
		{"host", true, true, false},
		{"host", false, false, true},
		{"-q host", false, false, false},
		{"-o LogLevel=ERROR host", false, false, false},
		{"host ls", true, false, false},
		{"host ls", false, false, false},
		{"-t host ls", true, true, false},
		{"-t host ls", false, false, true},
		{"-t -t host ls", false, true, false},
		{"-tt host ls", false, true, false},
		{"-tt -n host ls", true, true, false},
		{"-n host", true, false, true},
		{"-t -n host ls", true, false, true},
		{"-T host", true, false, false},
		{"-T host", false, false, false},
		// The last of -t and -T counts.
		{"-T -t host ls", true, true, false},
		{"-t -T host", true, false, false},
		{"-tt -T -t host ls", false, false, true},
		// They overrule -o, which counts only where nothing was said before,
		// and then as the first -t.
		{"-o RequestTTY=no -t host ls", true, true, false},
		{"-o RequestTTY=yes -t host ls", false, true, false},
		{"-t -o RequestTTY=force host ls", false, false, true},
		{"-t -o RequestTTY=no host ls", true, true, false},
		{"-o RequestTTY=force host ls", false, true, false},
		{"-o RequestTTY=yes host ls", true, true, false},
		{"-o RequestTTY=true -t host ls", false, true, false},
		{"-o RequestTTY=auto host ls", true, false, false},
		{"-o RequestTTY=auto host", true, true, false},
		{"-o RequestTTY=no host", true, false, false},
		{"-s host sftp", true, false, false},
		{"-o RemoteCommand=ls host", true, false, false},
		{"-t -o RemoteCommand=ls host", true, true, false},
	} {
		t.Run(c.args, func(t *testing.T) {
			resolved(t, func(t *testing.T, r *rig) {
				p := silent()
				plan, err := r.Resolve(t.Context(), &control.Invocation{Args: strings.Fields(c.args), Dir: r.home, TTY: [3]bool{c.stdin, true, true}}, p)
				if err != nil {
					t.Fatal(err)
				}
				if plan.TTY != c.tty || (plan.Session.TTY != nil) != c.tty {
					t.Errorf("terminal %v", plan.TTY)
				}
				want := ""
				if c.message {
					want = message
				}
				if p.Told() != want {
					t.Errorf("told %q", p.Told())
				}
			})
		})
	}
}

func TestTheFileAsksForATerminal(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "RequestTTY force\n")
		for args, want := range map[string]bool{"host ls": true, "-T host ls": false, "-t host ls": false} {
			plan, err := r.plan(nil, strings.Fields(args)...)
			if err != nil || plan.TTY != want {
				t.Errorf("%s: %v, %v", args, plan, err)
			}
		}
	})
}

func TestEscape(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for args, want := range map[string]int{
			"-tt host": '~', "-tt -e % host": '%', "-tt -e none host": control.NoEscape, "-tt -e ^B host": 2,
			"-tt -o EscapeChar=none host": control.NoEscape, "host ls": control.NoEscape, "-e % host ls": control.NoEscape,
		} {
			plan, err := r.plan(nil, strings.Fields(args)...)
			if err != nil || plan.Escape != want {
				t.Errorf("%s: %+v, %v", args, plan, err)
			}
		}
	})
}

func TestQuietAndStdinNull(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for args, want := range map[string][2]bool{
			"host ls": {false, false}, "-q host ls": {true, false}, "-o LogLevel=FATAL host ls": {true, false}, "-o loglevel=quiet host ls": {true, false},
			"-o LogLevel=ERROR host ls": {false, false}, "-n host ls": {false, true}, "-o StdinNull=yes host ls": {false, true}, "-nq host ls": {true, true},
		} {
			plan, err := r.plan(nil, strings.Fields(args)...)
			if err != nil || plan.Quiet != want[0] || plan.StdinNull != want[1] {
				t.Errorf("%s: %+v, %v", args, plan, err)
			}
		}
	})
}

func TestWhatIsRun(t *testing.T) {
	for _, c := range []struct {
		args    []string
		kind    control.SessionKind
		command string
		text    string // of an error
	}{
		{[]string{"host"}, control.Shell, "", ""},
		{[]string{"host", "ls", "-l", "a b"}, control.Exec, "ls -l a b", ""},
		{[]string{"host", "-v", "ls", "-v"}, control.Exec, "ls -v", ""},
		{[]string{"-s", "host", "sftp"}, control.Subsystem, "sftp", ""},
		{[]string{"host", "-s", "sftp"}, control.Subsystem, "sftp", ""},
		{[]string{"-o", "SessionType=subsystem", "host", "sftp"}, control.Subsystem, "sftp", ""},
		{[]string{"-s", "host"}, "", "", "host: you must specify a subsystem to invoke"},
		{[]string{"-o", "RemoteCommand=echo %h", "host"}, control.Exec, "echo host", ""},
		{[]string{"-o", "RemoteCommand=ls", "host", "ls"}, "", "", "host: Cannot execute command-line and remote command."},
		{[]string{"-o", "RemoteCommand=none", "host", "ls"}, control.Exec, "ls", ""},
	} {
		resolved(t, func(t *testing.T, r *rig) {
			plan, err := r.plan(nil, c.args...)
			if c.text != "" {
				wantError(t, err, control.NotDialled, c.text)
				return
			}
			if err != nil {
				t.Fatalf("%q: %v", c.args, err)
			}
			if s := plan.Session; s.Kind != c.kind || s.Command != c.command || plan.Host != "host" {
				t.Errorf("%q: %s %q", c.args, s.Kind, s.Command)
			}
		})
	}
}

func TestErrorFormat(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for args, want := range map[string]bool{"host ls": false, "-o ErrorFormat=json host ls": true, "-o ErrorFormat=text host ls": false,
			"-o ErrorFormat=json -N host": true, "-o ErrorFormat=json -O check host": true} {
			plan, err := r.plan(nil, strings.Fields(args)...)
			if err != nil || plan.JSON != want {
				t.Errorf("%s: %+v, %v", args, plan, err)
			}
		}
	})
}

// TestReattach: a session on a terminal is one to be followed, and what follows
// it runs the command of Reattach alone, on a terminal.
func TestReattach(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		const set = `-o Reattach="tmux new -A" `
		for args, want := range map[string]bool{"host": false, set + "-tt host": true, set + "-tt host ls": true, set + "host ls": false,
			set + "-tt -N host": false, set + "-tt -f host ls": false, "-o Reattach=none -tt host": false} {
			plan, err := r.plan(nil, split(args)...)
			if err != nil || plan.Reattach != want {
				t.Errorf("%s: %+v, %v", args, plan, err)
			}
		}
		for _, args := range []string{set + "-tt host", set + "-tt host rm -rf /", set + "-tt -o RemoteCommand=x host", set + "host ls"} {
			v := &control.Invocation{Args: split(args), Reattach: true, TTY: [3]bool{true, true, true}, Env: []string{"TERM=vt52"}, Size: control.Window{Cols: 3}}
			plan, err := r.Resolve(t.Context(), v, silent())
			if err != nil || plan.Session == nil {
				t.Errorf("%s: %+v, %v", args, plan, err)
				continue
			}
			if s := plan.Session; s.Kind != control.Exec || s.Command != "tmux new -A" || s.TTY == nil || s.TTY.Term != "vt52" || s.TTY.Size.Cols != 3 || !plan.TTY || !plan.Reattach {
				t.Errorf("%s: %+v, %+v", args, plan, s)
			}
		}
		for text, want := range map[string]string{`"a b"`: "a b", `a "b c"`: `a "b c"`, `"a" "b"`: `"a" "b"`, `"`: `"`, `a b`: "a b"} {
			if got := unquoted(text); got != want {
				t.Errorf("%s becomes %s", text, got)
			}
		}
		_, err := r.Resolve(t.Context(), &control.Invocation{Args: []string{"host", "ls"}, Reattach: true}, silent())
		wantError(t, err, control.NotDialled, "host: the session cannot be carried on: no Reattach is set any more")
	})
}

// split is a command line of one option in quotes and words.
func split(args string) []string {
	if rest, ok := strings.CutPrefix(args, `-o Reattach="tmux new -A" `); ok {
		return append([]string{"-o", `Reattach="tmux new -A"`}, strings.Fields(rest)...)
	}
	return strings.Fields(args)
}

func TestSendEnvAndSetEnv(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "Host host\n SendEnv LC_* LANG\n SetEnv TERM=dumb A=1\n")
		r.env = []string{"LANG=C", "SECRET=1", "LC_ALL=en", "TERM=xterm", "LC_X=a=b"}
		s := r.request("-tt", "host")
		if want := []string{"LANG=C", "LC_ALL=en", "LC_X=a=b", "TERM=dumb", "A=1"}; !slices.Equal(s.Env, want) {
			t.Errorf("%q", s.Env)
		}
		if s.TTY.Term != "dumb" {
			t.Errorf("TERM %q", s.TTY.Term)
		}
	})
}

func TestConfigFiles(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "User fromuser\n")
		r.write("relative", "User fromrelative\n")
		absolute := r.write("absolute", "User fromabsolute\n")
		for _, c := range []struct {
			args []string
			user string
		}{
			{[]string{"host"}, "fromuser"}, {[]string{"-F", "relative", "host"}, "fromrelative"}, {[]string{"-F", "./relative", "host"}, "fromrelative"},
			{[]string{"-F", absolute, "host"}, "fromabsolute"}, {[]string{"-F", "none", "host"}, "me"},
			{[]string{"-F", "relative", "-l", "flag", "host"}, "flag"}, {[]string{"at@host", "-l", "flag"}, "flag"}, {[]string{"at@host"}, "at"},
		} {
			if got := r.request(append(c.args, "true")...).Dest.(*Destination).User; got != c.user {
				t.Errorf("%q: %s", c.args, got)
			}
		}
		_, err := r.plan(nil, "-F", "missing", "host")
		wantError(t, err, control.NotDialled, "host: Can't open user config file "+r.home+"/missing: no such file or directory")
		for _, file := range []string{"/dev/stdin", "/dev//fd/63", "/proc/self/fd/0"} {
			_, err := r.plan(nil, "-F", file, "host")
			wantError(t, err, control.NotDialled, "host: -F "+file+": muxd reads this file")
		}
		r.write(".ssh/config", "Nonsense yes\n")
		_, err = r.plan(nil, "host")
		wantError(t, err, control.NotDialled, ".ssh/config: line 1: Bad configuration option: nonsense; ", ".ssh/config: terminating, 1 bad")
	})
}

// Names that a shell would take apart are refused wherever they come from.
func TestBadNames(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "Host evil\n HostName -oProxyCommand=x\nHost evil2\n HostName a;b\nHost evil3\n User -x\nHost evil4\n User a$(b)\n")
		for _, args := range [][]string{
			{"-x;y"}, {"a;b"}, {"a`b`"}, {"$(x)"}, {"-o", "HostName=-v", "host"}, {"evil"}, {"evil2"}, {"evil3"}, {"evil4"},
			{"-l", "-x", "host"}, {"-l", "a;b", "host"}, {"a;b@host"}, {"-o", "User=-x", "host"}, {""}, {},
		} {
			plan, err := r.plan(nil, append(args, "true")...)
			if err == nil && len(args) == 0 {
				continue // "true" was the host
			}
			if err == nil {
				t.Errorf("%q: %+v", args, plan.Session.Dest)
				continue
			}
			wantError(t, err, control.NotDialled)
		}
	})
}

func TestProxyCommandOnStdin(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		_, err := r.plan(nil, "-o", "ProxyCommand=-", "host", "true")
		wantError(t, err, control.NotDialled, "host: ProxyCommand - means")
		if _, err := r.plan(nil, "-o", "ProxyJump=none", "-o", "ProxyCommand=none", "host", "true"); err != nil {
			t.Error(err)
		}
	})
}

func TestManagePlan(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		plan, err := r.plan(nil, "-O", "check", "host")
		if err != nil || plan.Manage == nil || plan.Session != nil || plan.Manage.Command != "check" || plan.Manage.Dest.String() != "host" {
			t.Errorf("%+v, %v", plan, err)
		}
	})
}
