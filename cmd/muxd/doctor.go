package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"muxd/control"
	"muxd/internal/build"
	"muxd/internal/table"
	"muxd/socket"
)

// doctorVersion is the version of the JSON of muxd doctor, which
// docs/doctor-json.md describes.
const doctorVersion = 1

type doctorJSON struct {
	Version  int           `json:"version"`
	Findings []findingJSON `json:"findings"`

	silent bool // the muxd that runs does not answer
}

type findingJSON struct {
	About string `json:"about"` // a host, or "muxd" for what concerns all of them
	Level string `json:"level"` // ok, note or problem
	Text  string `json:"text"`
	Cure  string `json:"cure,omitempty"`
}

// doctor is muxd doctor: what is found here, and what muxd knows of the hosts.
func doctor(args []string) int {
	a, err := parseAbout(args, map[string]bool{"--json": false, configFlag: true})
	if err == nil && a.all && len(a.hosts) > 0 {
		err = errors.New("name a host, or --all")
	}
	if err != nil {
		return misused("doctor: " + err.Error())
	}
	d := doctorJSON{Version: doctorVersion, Findings: []findingJSON{}}
	d.here()
	hosts := a.hosts
	if len(hosts) == 0 {
		hosts = []string{""} // all that muxd knows
	}
	if d.silent {
		hosts = nil // it would be waited for once more for each
	}
	for _, host := range hosts {
		d.about(a, host)
	}
	code := 0
	if a.has("--json") {
		code = printJSON(os.Stdout, d)
	} else {
		code = shown(func(w io.Writer) { d.print(w, lookOf(1)) })
	}
	for _, f := range d.Findings {
		if f.Level == string(control.FindingProblem) {
			code = 1
		}
	}
	return code
}

func (d *doctorJSON) add(about string, f control.Finding) {
	level := string(f.Level)
	if f.Level == control.FindingFact {
		level = "ok"
	}
	d.Findings = append(d.Findings, findingJSON{about, level, f.Text, f.Cure})
}

func (d *doctorJSON) ok(format string, args ...any) {
	d.add("muxd", control.Finding{Text: fmt.Sprintf(format, args...)})
}

func (d *doctorJSON) note(cure, format string, args ...any) {
	d.add("muxd", control.Finding{Level: control.FindingNote, Text: fmt.Sprintf(format, args...), Cure: cure})
}

func (d *doctorJSON) problem(cure, format string, args ...any) {
	d.add("muxd", control.Finding{Level: control.FindingProblem, Text: fmt.Sprintf(format, args...), Cure: cure})
}

// print shows one finding a line, and its cure below it; on a terminal broken
// between words.
func (d *doctorJSON) print(w io.Writer, l look) {
	for _, f := range d.Findings {
		mark := map[string]string{"ok": " ", "note": "!", "problem": "✗"}[f.Level]
		for i, line := range table.Fold(f.About+": "+f.Text, l.width, 2) {
			if i == 0 {
				line = mark + line[1:] // in place of the first space
			}
			fmt.Fprintln(w, line)
		}
		if f.Cure != "" {
			for _, line := range table.Fold("→ "+f.Cure, l.width, 4) {
				fmt.Fprintln(w, line)
			}
		}
	}
}

// here is what is to be found without a host.
func (d *doctorJSON) here() {
	d.daemon()
	if p, err := socket.Choose(os.Getenv); err != nil {
		d.problem("mend what the line says, or name another place by MUXD_SOCKET", "no place for the socket: %v", err)
	} else {
		d.place(p)
	}
	d.agent(os.Getenv("SSH_AUTH_SOCK"))
	if u, err := user.Current(); err == nil {
		d.config(sshConfig(u))
		for _, path := range deadSockets(filepath.Join(u.HomeDir, ".ssh")) {
			d.note("rm "+path, "nobody listens on %s: what OpenSSH's master left behind", path)
		}
	}
}

// daemon is the muxd that runs.
func (d *doctorJSON) daemon() {
	pid := 0
	st, err := asking(connect, func(c *socket.Conn) (*control.Status, error) {
		pid = c.PeerPID()
		return control.GetStatus(c, control.StatusRequest{})
	})
	var other *control.VersionError
	switch {
	case errors.Is(err, socket.ErrNoServer):
		d.ok("not running; the first muxc starts it")
	case err != nil && pid == 0:
		d.problem("muxd stop --force ends it", "it cannot be reached: %v", err)
	case errors.As(err, &other):
		d.problem("muxd stop --drain, or muxd stop when nothing runs that you need; the next muxc starts this one", "the one that runs is of another version: %v", err)
	case errors.Is(err, control.ErrSilent):
		d.silent = true
		d.problem("muxd stop --force", "the one that runs (pid %d) does not answer: it is stopped or stuck", pid)
	case err != nil:
		d.problem("muxd stop --force, or kill "+fmt.Sprint(pid), "the one that runs (pid %d) does not answer: %v", pid, err)
	case st.Build != build.Version:
		d.note("muxd stop --drain; the next muxc starts the new one", "build %s runs, and this is %s", st.Build, build.Version)
	case !st.Locked.IsZero():
		d.note("muxd unlock", "it is locked since %s, and refuses everything new", st.Locked.Format(time.DateTime))
	case st.Drains:
		d.note("wait for it, or muxd stop --force", "it drains (muxd stop --drain), and refuses everything new")
	default:
		d.ok("running, pid %d, %s, on %s", st.PID, count(len(st.Hosts), "host"), st.Socket)
	}
}

// place judges where the socket is: whether it outlives the session.
func (d *doctorJSON) place(p socket.Place) {
	name := "/run/user/" + fmt.Sprint(os.Getuid())
	if !strings.HasPrefix(p.Dir, name) {
		d.ok("the socket's directory %s is ours and nobody else's", p.Dir)
		return
	}
	u, err := user.Current()
	if err != nil {
		return
	}
	if _, err := os.Stat(filepath.Join("/var/lib/systemd/linger", u.Username)); err == nil {
		d.ok("the socket's directory %s is ours and nobody else's, and stays after logout (lingering)", p.Dir)
		return
	}
	d.note("loginctl enable-linger, if connections are to outlive your last session here",
		"%s goes with your last session on this machine, and muxd with it where KillUserProcesses=yes", name)
}

// agent looks whether somebody answers where SSH_AUTH_SOCK says.
func (d *doctorJSON) agent(path string) {
	if path == "" {
		d.ok("no SSH_AUTH_SOCK: keys come from files and from IdentityAgent")
		return
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		d.problem("start an agent, or unset SSH_AUTH_SOCK", "nobody answers at SSH_AUTH_SOCK %s: %v", path, cause(err))
		return
	}
	c.Close()
	d.ok("an agent answers at %s", path)
}

func cause(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}

// config looks whether stock ssh uses muxd.
func (d *doctorJSON) config(file string) {
	b, err := os.ReadFile(file)
	switch {
	case err == nil && hasMark(b):
		d.ok("stock ssh, scp, sftp, rsync and git use muxd (%s)", file)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		d.problem("make it readable", "%v", err)
	default:
		d.note("muxd install --ssh-config --write", "stock ssh, scp, sftp, rsync and git make connections of their own")
	}
}

// deadSockets are the sockets below a directory, at most two levels down, on
// which nobody listens.
func deadSockets(dir string) []string {
	var dead []string
	for _, pattern := range []string{"*", "*/*"} {
		paths, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range paths {
			fi, err := os.Lstat(path)
			if err != nil || fi.Mode()&os.ModeSocket == 0 {
				continue
			}
			c, err := net.Dial("unix", path)
			if err == nil {
				c.Close()
			} else if errors.Is(err, syscall.ECONNREFUSED) {
				dead = append(dead, path)
			}
		}
	}
	return dead
}

// about is what muxd knows of one host, or of all that it knows for "".
func (d *doctorJSON) about(a about, host string) {
	reached := false
	r, err := asking(connect, func(c *socket.Conn) (reply, error) {
		reached = true
		return ask(c, &control.AdminRequest{Command: "doctor"}, a.invocation(host))
	})
	if !reached {
		return // here has told why
	}
	name := host
	if name == "" {
		name = "muxd"
	}
	if err != nil || r.code != 0 {
		if err != nil {
			r.said = err.Error()
		}
		d.add(name, control.Finding{Level: control.FindingProblem, Text: control.CleanLine(r.said)})
		return
	}
	for _, f := range control.ParseFindings(r.said) {
		at, rest, ok := strings.Cut(f.Text, ": ")
		if host == "" && ok {
			name, f.Text = at, rest
		} else if ok && at == host {
			f.Text = rest
		}
		d.add(name, f)
	}
}
