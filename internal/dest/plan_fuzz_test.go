package dest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muxd/control"
)

// FuzzInvocation resolves whatever a client may send: arguments, directory and
// environment. What comes out is a plan that opens one thing, or an error that
// says that nothing was begun; and the same again when asked again.
func FuzzInvocation(f *testing.F) {
	for _, r := range recorded {
		f.Add(strings.Join(words(r.argv), "\x00"), "/home", "TERM=xterm\x00DISPLAY=:0", "Host h\n User u\n")
	}
	for _, argv := range []string{"-W\x00db:22\x00host", "-N\x00-L\x001:a:2\x00host", "-O\x00forward\x00-L\x001:b:2\x00h", "-G\x00-oCanonicalizeHostname=yes\x00h",
		"-f\x00-N\x00-D1080\x00h", "-O\x00prepare\x00-S\x00/x/%C\x00h", "-J\x00a,b@c:1\x00h", "-Q\x00cipher", "-tt\x00-e^]\x00ssh://u@[::1]:22", "-oReattach=x\x00h", "-s\x00h", "-E\x00/x\x00h", ""} {
		f.Add(argv, "", "SHELL=/bin/sh", "Match all\n LocalForward 1 a:2\n SendEnv *\n")
	}
	home := f.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		f.Fatal(err)
	}
	// No name is looked up, and nothing of this machine's is read.
	res := Resolver{Home: home, User: "me", SystemFile: filepath.Join(home, "none"),
		Lookup: func(context.Context, string, string) (string, bool, error) { return "", false, nil }}
	f.Fuzz(func(t *testing.T, argv, dir, env, conf string) {
		if strings.Contains(strings.ToLower(conf+argv), "include") {
			t.Skip("would read files of this machine")
		}
		if err := os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		resolve := func() (*control.Plan, error) {
			return res.Resolve(t.Context(), &control.Invocation{Args: strings.Split(argv, "\x00"), Dir: dir, Env: strings.Split(env, "\x00")}, silent())
		}
		plan, err := resolve()
		if err != nil {
			var e *control.Error
			if plan != nil || !errors.As(err, &e) || e.Phase != control.NotDialled {
				t.Errorf("%q: %v, %v", argv, plan, err)
			}
			return
		}
		opens := 0
		for _, is := range []bool{plan.Session != nil, plan.Direct != nil, plan.Hold != nil, plan.Manage != nil, plan.Text != nil, plan.HandOver != nil,
			plan.Detach && plan.Hold == nil} {
			if is {
				opens++
			}
		}
		if opens != 1 {
			t.Errorf("%q: %d things to do: %+v", argv, opens, plan)
		}
		again, err := resolve()
		if err != nil || again.Dest != nil && !again.Dest.Same(plan.Dest) {
			t.Errorf("%q: another destination when asked again, %v", argv, err)
		}
	})
}
