package sshconf

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// world is a directory of configuration files and the person who asks.
type world struct {
	t   testing.TB
	dir string
	in  Input
}

func newWorld(t testing.TB) *world {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir()}
	w.in = Input{Host: "web1", Home: me.HomeDir, LocalUser: me.Username, LocalHost: host, UID: os.Getuid(), Env: os.Getenv}
	return w
}

// write makes a file below the directory; DIR in its text becomes that directory.
func (w *world) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", w.dir)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// options turns arguments of -o into settings.
func (w *world) options(args []string) {
	w.t.Helper()
	for _, a := range args {
		s, err := ParseOption(a)
		if err != nil {
			w.t.Fatal(err)
		}
		w.in.Options = append(w.in.Options, s)
	}
}

// dump is a configuration as a map from keyword to its lines, joined by |.
type dump map[string]string

func parseDump(out string) dump {
	d := dump{}
	for _, text := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		key, value, _ := strings.Cut(strings.TrimSuffix(text, "\r"), " ")
		if old, ok := d[key]; ok {
			value = old + "|" + value
		}
		d[key] = value
	}
	return d
}

func (w *world) resolve() (dump, error) {
	w.t.Helper()
	c, err := Resolve(w.in)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := c.Dump(&out); err != nil {
		w.t.Fatal(err)
	}
	return parseDump(out.String()), nil
}

func must(t testing.TB, in Input) *Config {
	t.Helper()
	c, err := Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// oracle is the installed ssh.
func oracle(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("ssh")
	if err == nil {
		return path
	}
	if slices.Contains(strings.Split(os.Getenv("MUX_TEST_REQUIRE"), ","), "ssh") {
		t.Fatal("no ssh in PATH, and MUX_TEST_REQUIRE asks for one")
	}
	t.Skip("no ssh in PATH to compare with")
	return ""
}

// ask runs ssh -G on the world's file and returns what it says, or the lines
// in which it refuses.
func (w *world) ask(ssh string, options []string) (dump, []string) {
	w.t.Helper()
	args := []string{"-G", "-F", w.in.ConfigFile}
	for _, o := range options {
		args = append(args, "-o", o)
	}
	cmd := exec.Command(ssh, append(args, "--", w.in.Host)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return nil, complaints(errs.String())
	case err != nil:
		w.t.Fatal(err)
	}
	return parseDump(out.String()), nil
}

func complaints(s string) []string {
	var lines []string
	for _, text := range strings.Split(s, "\n") {
		text = strings.TrimSpace(text)
		switch {
		case text == "", strings.HasPrefix(text, "Pseudo-terminal"):
		case strings.HasPrefix(text, "Unsupported KEX algorithm"): // said twice
		default:
			lines = append(lines, text)
		}
	}
	return lines
}

// versions are keywords whose default, or the way of printing it, changed
// between the OpenSSH that is installed and the one that is imitated.
var versions = map[string][]string{
	"forwardx11trusted": {"yes"}, // Debian
	"ipqos":             {"af21 cs1", "lowdelay throughput"},
	"identityfile":      {"~/.ssh/id_rsa|~/.ssh/id_ecdsa|~/.ssh/id_ecdsa_sk|~/.ssh/id_ed25519|~/.ssh/id_ed25519_sk|~/.ssh/id_xmss|~/.ssh/id_dsa"},
}

// compare reports the first keyword that both know and judge differently.
func compare(ours, theirs dump) string {
	for key, want := range theirs {
		got, known := ours[key]
		switch {
		case !known && !honoured[key], got == want, slices.Contains(versions[key], want):
		case key == "serveraliveinterval" && theirs["batchmode"] == "yes":
			// Debian patches 300 in.
		default:
			return key + ": got " + got + ", ssh says " + want
		}
	}
	for key, got := range ours {
		if _, known := theirs[key]; !known && optional[key] {
			return key + ": got " + got + ", ssh says nothing"
		}
	}
	return ""
}

// optional are the keywords that ssh -G prints only where they are set.
var optional = setOf(`bindaddress bindinterface controlpath hostkeyalias identityagent ignoreunknown localcommand
	remotecommand preferredauthentications knownhostscommand dynamicforward localforward remoteforward
	certificatefile sendenv setenv proxyjump proxycommand`)

var honoured = optional

func setOf(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range words(s) {
		m[w] = true
	}
	return m
}
