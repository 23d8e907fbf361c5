package sshconf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// world is a directory of configuration files and the person who asks.
type world struct {
	t   testing.TB
	dir string
	in  Input

	offer       Offer
	flags       []string // the command line of ssh, before -o
	text, their string   // what the last dump looked like, here and there
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
	if err := w.tryOptions(args); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tryOptions(args []string) error {
	for _, a := range args {
		s, err := ParseOption(a)
		if err != nil {
			return err
		}
		w.in.Options = append(w.in.Options, s)
	}
	return nil
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
	var out strings.Builder
	if err := c.Dump(&out, w.offer); err != nil {
		return nil, err
	}
	w.text = out.String()
	return parseDump(w.text), nil
}

func must(t testing.TB, in Input) *Config {
	t.Helper()
	c, err := Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// imitated reports whether the installed ssh is as new as the one imitated, so
// that it can be asked about everything.
func imitated(t testing.TB, ssh string) bool {
	out, err := exec.Command(ssh, "-V").CombinedOutput()
	if err != nil {
		t.Fatalf("ssh -V: %v", err)
	}
	var major, minor int
	_, _ = fmt.Sscanf(string(out), "OpenSSH_%d.%d", &major, &minor)
	return major > 10 || major == 10 && minor >= 5
}

// ask runs ssh -G on the world's file and returns what it says, or the lines
// in which it refuses.
func (w *world) ask(ssh string, options []string) (dump, []string) {
	w.t.Helper()
	args := append([]string{"-G", "-F", w.in.ConfigFile}, w.flags...)
	for _, o := range options {
		args = append(args, "-o", o)
	}
	args = append(args, "--", w.in.Host)
	if w.in.Command != "" {
		args = append(args, w.in.Command)
	}
	cmd := exec.Command(ssh, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return nil, complaints(errs.String())
	case err != nil:
		w.t.Fatal(err)
	}
	w.their = out.String()
	return parseDump(w.their), nil
}

func complaints(s string) []string {
	lines := []string{} // with -q nothing is said, and it is a refusal all the same
	for _, text := range strings.Split(s, "\n") {
		text = strings.TrimPrefix(strings.TrimRight(text, "\r\n"), "ssh: ")
		switch {
		case text == "", strings.HasPrefix(text, "Pseudo-terminal"), strings.HasPrefix(text, "debug"):
		case strings.HasPrefix(text, "Unsupported KEX algorithm"): // said twice
		case strings.Contains(text, "Unsupported option \"gssapi"): // as it is built
		default:
			lines = append(lines, text)
		}
	}
	return lines
}
