package sshconf

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzResolve holds that no file, however damaged, makes Resolve panic or dwell,
// and that the same question has the same answer.
func FuzzResolve(f *testing.F) {
	for _, tc := range cases {
		f.Add(tc.config)
	}
	for name := range keywords {
		f.Add(name + " x\n" + name + "=\"\n" + name + " yes 1 2\n")
	}
	f.Add("Match host \"\" user=\xff exec '\n\x00Host\x00\nLocalForward [:]:[ \\")
	f.Add("LocalForward \\\nLocalForward a\\:b: :\nRemoteForward [ ]:]\nProxyJump ,,@,[,]:\n")
	in := newWorld(f).in
	in.Exec = func(string) (bool, error) { return true, nil }
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "include") {
			return // must not wander through the machine's files
		}
		in := in
		w := &world{t: t, dir: t.TempDir()}
		in.ConfigFile = w.write("fuzz", text)
		start := time.Now()
		c, err := Resolve(in)
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%d bytes took %v", len(text), d)
		}
		again, err2 := Resolve(in)
		if fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Errorf("first %v, then %v", err, err2)
		}
		if err != nil {
			return
		}
		var one, two strings.Builder
		_, _ = c.Dump(&one, Offer{}), again.Dump(&two, Offer{})
		if one.String() != two.String() {
			t.Errorf("first\n%s\nthen\n%s", one.String(), two.String())
		}
		c.use()
	})
}

// use calls every accessor that works on the spot.
func (c *Config) use() {
	for name := range keywords {
		c.Get(name)
	}
	_, _ = c.KnownHostsCommand(nil)
	_, _ = c.LocalCommand("NONE")
	_, _ = c.Ciphers(cipherNames, nil)
	_, _ = c.HostKeyAlgorithms(keyNames[:3], keyNames)
	c.WaitForReady()
	c.PreferredAuthentications()
}

// FuzzArgs holds that splitting undoes quoting.
func FuzzArgs(f *testing.F) {
	f.Add("a b", `c"d`)
	f.Add(`\`, "'")
	f.Add("", "#")
	f.Fuzz(func(t *testing.T, a, b string) {
		quote := func(s string) string {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`).Replace(s) + `"`
		}
		got, err := splitArgs(nil, quote(a)+" \t"+quote(b)+" # c", true)
		if err != nil || !slices.Equal(got, []string{a, b}) {
			t.Errorf("%q %q: got %q, %v", a, b, got, err)
		}
	})
}

func manyHosts(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "Host h%d h%d.example.net\n    HostName 10.0.%d.%d\n    User u%d\n    IdentityFile ~/.ssh/id_%d\n\n", i, i, i/256, i%256, i, i)
	}
	return out.String() + "Host *\n    ServerAliveInterval 15\n    ControlPath ~/.ssh/%C\n"
}

func BenchmarkResolve500Hosts(b *testing.B) {
	w := newWorld(b)
	w.in.UserFile = w.write("config", manyHosts(500))
	w.in.Host = "h400"
	for b.Loop() {
		if _, err := Resolve(w.in); err != nil {
			b.Fatal(err)
		}
	}
}

// Resolving is part of every request. The bound is ten times what was measured
// on a slow machine, so that only a change of the order of growth breaks it.
func TestFiveHundredHostsAreQuick(t *testing.T) {
	w := newWorld(t)
	w.in.UserFile = w.write("config", manyHosts(500))
	w.in.Host = "h400"
	best := time.Hour
	for range 10 {
		start := time.Now()
		must(t, w.in)
		best = min(best, time.Since(start))
	}
	if best > 10*time.Millisecond {
		t.Errorf("500 hosts took %v", best)
	}
}
