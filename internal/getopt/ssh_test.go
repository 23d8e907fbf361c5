package getopt

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// scpOptions are those that scp and sftp put before everything of the user's.
var scpOptions = []string{"-x", "-oPermitLocalCommand=no", "-oClearAllForwardings=yes",
	"-oRemoteCommand=none", "-oRequestTTY=no", "-oForwardAgent=no"}

var scpParsed = o("x", "oPermitLocalCommand=no", "oClearAllForwardings=yes",
	"oRemoteCommand=none", "oRequestTTY=no", "oForwardAgent=no")

// recorded are the command lines that the usual programs were seen to use.
var recorded = []struct {
	name string
	args []string
	want CommandLine
}{
	{"git's probe", []string{"-G", "-o", "SendEnv=GIT_PROTOCOL", "-p", "2200", "u@h"},
		CommandLine{o("G", "oSendEnv=GIT_PROTOCOL", "p=2200"), "u@h", nil}},
	{"git", []string{"-o", "SendEnv=GIT_PROTOCOL", "-p", "2200", "u@h", "git-upload-pack '/x'"},
		CommandLine{o("oSendEnv=GIT_PROTOCOL", "p=2200"), "u@h", []string{"git-upload-pack '/x'"}}},
	{"scp", append(slices.Clone(scpOptions), "-l", "u", "-s", "--", "h", "sftp"),
		CommandLine{append(slices.Clone(scpParsed), o("l=u", "s")...), "h", []string{"sftp"}}},
	{"scp -O", append(slices.Clone(scpOptions), "-l", "u", "--", "h", "scp -t /tmp/x"),
		CommandLine{append(slices.Clone(scpParsed), o("l=u")...), "h", []string{"scp -t /tmp/x"}}},
	{"sftp", []string{"-oForwardX11 no", "-oPermitLocalCommand no", "-oClearAllForwardings yes", "-oForwardAgent no",
		"-l", "u", "-s", "--", "h", "sftp"},
		CommandLine{o("oForwardX11 no", "oPermitLocalCommand no", "oClearAllForwardings yes", "oForwardAgent no", "l=u", "s"),
			"h", []string{"sftp"}}},
	{"rsync", []string{"-l", "u", "h", "rsync", "--server", "-e.LsfxCIvu", ".", "/tmp/"},
		CommandLine{o("l=u"), "h", []string{"rsync", "--server", "-e.LsfxCIvu", ".", "/tmp/"}}},
	{"ansible", []string{"-C", "-o", "ControlMaster=auto", "-o", "ControlPersist=60s", "-o", `ControlPath="/r/.ansible/cp/1a"`,
		"-tt", "-vvv", "h", "/bin/sh -c 'echo ~ && sleep 0'"},
		CommandLine{o("C", "oControlMaster=auto", "oControlPersist=60s", `oControlPath="/r/.ansible/cp/1a"`, "t", "t", "v", "v", "v"),
			"h", []string{"/bin/sh -c 'echo ~ && sleep 0'"}}},
}

func TestRecorded(t *testing.T) {
	for _, tt := range recorded {
		t.Run(tt.name, func(t *testing.T) { parses(t, tt.args, tt.want) })
	}
}

func TestParseSSH(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want CommandLine
	}{
		{"host", []string{"h"}, CommandLine{nil, "h", nil}},
		{"options behind the host", []string{"-v", "h", "-p22", "-tt", "ls", "-l"},
			CommandLine{o("v", "p=22", "t", "t"), "h", []string{"ls", "-l"}}},
		{"options behind the host, no command", []string{"h", "-N"}, CommandLine{o("N"), "h", nil}},
		{"hyphens behind the host", []string{"h", "-v", "--", "-x"}, CommandLine{o("v"), "h", []string{"-x"}}},
		{"hyphens before the host", []string{"--", "h", "-v"}, CommandLine{nil, "h", []string{"-v"}}},
		{"hyphens twice", []string{"--", "h", "--", "-v"}, CommandLine{nil, "h", []string{"--", "-v"}}},
		{"a value that is two hyphens", []string{"-l", "--", "h", "-v"}, CommandLine{o("l=--"), "h", []string{"-v"}}},
		{"destination with a hyphen", []string{"--", "-oProxyCommand=x"}, CommandLine{nil, "-oProxyCommand=x", nil}},
		{"version", []string{"-vV", "-z"}, CommandLine{o("v", "V"), "", nil}},
		{"version ends it", []string{"-V", "-v", "h"}, CommandLine{o("V"), "", nil}},
		{"version behind the host", []string{"h", "-V", "-v"}, CommandLine{o("V"), "", nil}},
		{"query", []string{"-Q", "cipher"}, CommandLine{o("Q=cipher"), "", nil}},
		{"query wins over what follows", []string{"-Qkex", "-p"}, CommandLine{o("Q=kex"), "", nil}},
	} {
		t.Run(tt.name, func(t *testing.T) { parses(t, tt.args, tt.want) })
	}
}

func parses(t *testing.T, args []string, want CommandLine) {
	t.Helper()
	given := slices.Clone(args)
	c, err := ParseSSH(args)
	if err != nil {
		t.Fatal(err)
	}
	if !equal(*c, want) {
		t.Errorf("got  %+q\nwant %+q", *c, want)
	}
	if !slices.Equal(args, given) {
		t.Errorf("the arguments were changed to %q", args)
	}
}

func equal(a, b CommandLine) bool {
	return slices.Equal(a.Options, b.Options) && a.Destination == b.Destination && slices.Equal(a.Command, b.Command)
}

func TestParseSSHErrors(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "no destination"},
		{[]string{"-G"}, "no destination"},
		{[]string{"-O", "check"}, "no destination"},
		{[]string{"--"}, "no destination"},
		{[]string{""}, "empty word"},
		{[]string{"-z", "-V"}, `"-z"`},
		{[]string{"-Q"}, "-Q needs a value"},
		{[]string{"h", "-z"}, `"-z"`},
		{[]string{"h", "-p"}, "-p needs a value"},
	} {
		if c, err := ParseSSH(tt.args); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %+v, %v; want an error with %q", tt.args, c, err, tt.want)
		}
	}
	if _, err := ParseSSH(nil); !errors.Is(err, ErrNoDestination) {
		t.Errorf("without arguments: %v", err)
	}
}

func FuzzParseSSH(f *testing.F) {
	for _, tt := range recorded {
		f.Add(strings.Join(tt.args, "\n"))
	}
	f.Add("-l\n--\nh\n-v")
	f.Add("-vV\n-z")
	f.Fuzz(func(t *testing.T, words string) {
		c, err := ParseSSH(strings.Split(words, "\n"))
		if err != nil {
			return
		}
		args := canonical(c.Options)
		if c.Destination != "" {
			args = append(append(args, "--", c.Destination), c.Command...)
		}
		again, err := ParseSSH(args)
		if err != nil || !equal(*again, *c) {
			t.Fatalf("%q: canonical form %q read as %+q, %v", words, args, again, err)
		}
	})
}
