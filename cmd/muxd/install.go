package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"muxd/socket"
)

// sshBlock are the lines that have stock ssh use muxd, for a muxd that serves
// at a place. They name the user by %i where they can, so that a configuration
// that is shared between machines holds on all of them; nothing in them is an
// environment variable, since one that is not set is fatal to ssh. Muxc is what to
// call it by.
func sshBlock(p socket.Place, muxc string) string {
	dir := filepath.Join(p.Dir, "c")
	if run := "/run/user/" + strconv.Itoa(os.Getuid()); strings.HasPrefix(dir, run+"/") {
		dir = "/run/user/%i" + strings.TrimPrefix(dir, run)
	}
	path := dir + "/%C"
	return "Match final exec \"" + muxc + " -O prepare -S " + path + " -l %r -p %p %n\"\n    ControlPath " + path + "\n"
}

// calledMuxc is muxc by its name where every PATH has it, that of cron included, and
// else by its path: there each ssh would say that it is not found. The path is not
// resolved, because what a link leads to may be of one version.
func calledMuxc() string {
	path, err := exec.LookPath("muxc")
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if dir := filepath.Dir(path); err != nil || dir == "/usr/bin" || dir == "/bin" || !plainPath.MatchString(path) {
		return "muxc"
	}
	return path
}

// plainPath is a path that means itself to ssh_config and to every shell.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9_./+-]+$`)

// plainDir is a directory that can stand in those lines: quoted for ssh_config it could
// not be for the shell that runs muxc, too.
var plainDir = regexp.MustCompile(`^[A-Za-z0-9_./+@:,\x{80}-\x{10ffff}-]+$`)

// blockPlace is where ssh is to meet the muxd of here.
func blockPlace() (socket.Place, error) {
	p, err := socket.Choose(os.Getenv)
	if err == nil && !plainDir.MatchString(p.Dir) {
		err = fmt.Errorf("the socket's directory %q has a character that ssh_config or a shell takes for something else: name another by MUXD_SOCKET", p.Dir)
	}
	return p, err
}

// sshMark is what tells that the block is there, in whatever place.
const sshMark = "muxc -O prepare"

var markedLine = regexp.MustCompile(`(?m)^[ \t]*(?:[^#\s][^\n]*)?` + sshMark)

// hasMark tells whether the block is there, and not taken out of use by a #.
func hasMark(config []byte) bool { return markedLine.Match(config) }

// installs are the flags of muxd install and muxd uninstall.
type installs struct{ config, service, write bool }

func parseInstalls(command string, args []string) (in installs, ok bool) {
	for _, a := range args {
		switch a {
		case "--ssh-config":
			in.config = true
		case "--service":
			in.service = true
		case "--write":
			in.write = true
		default:
			misused(command + ": unknown argument " + strconv.Quote(a))
			return in, false
		}
	}
	if in.config == in.service {
		misused(command + ": say what: --ssh-config or --service")
		return in, false
	}
	return in, true
}

// install is muxd install: it prints what it would do, and does it when told to.
func install(args []string) int {
	return installing("install", args, func(s service, write bool) error {
		if write {
			return s.install(os.Stdout, runCommand)
		}
		return show(s.print)
	}, func(file string, write bool) (said string, err error) {
		p, err := blockPlace()
		if err != nil || !write {
			return strings.TrimSuffix(sshBlock(p, calledMuxc()), "\n"), err
		}
		return addBlock(file, sshBlock(p, calledMuxc()))
	})
}

// uninstall is the way back from install.
func uninstall(args []string) int {
	return installing("uninstall", args, func(s service, write bool) error {
		if write {
			return s.uninstall(os.Stdout, runCommand)
		}
		return show(s.printBack)
	}, removeBlock)
}

// installing does either, to the service or to ssh's configuration, whose function
// returns what is to be said.
func installing(command string, args []string, toService func(s service, write bool) error, toConfig func(file string, write bool) (string, error)) int {
	in, ok := parseInstalls(command, args)
	if !ok {
		return 2
	}
	u, err := user.Current()
	if err != nil {
		return complain(err)
	}
	if in.service {
		s, err := thisService(u)
		if err == nil {
			err = toService(s, in.write)
		}
		if err != nil {
			return complain(err)
		}
		return 0
	}
	said, err := toConfig(sshConfig(u), in.write)
	if err == nil && in.write {
		fmt.Println(said) // that it was done is true whoever reads it
	} else if err == nil {
		err = show(func(w io.Writer) { fmt.Fprintln(w, said) })
	}
	if err != nil {
		return complain(err)
	}
	return 0
}

func sshConfig(u *user.User) string { return filepath.Join(u.HomeDir, ".ssh", "config") }

// thisService is the service of the muxd that runs now, for this machine's
// service manager.
func thisService(u *user.User) (service, error) {
	exe, err := os.Executable()
	if err != nil {
		return service{}, err
	}
	if runtime.GOOS == "darwin" {
		return launchAgent(u.HomeDir, exe, os.Getuid())
	}
	config := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) {
		config = filepath.Join(u.HomeDir, ".config")
	}
	return systemdUser(config, exe)
}

// addBlock puts the block at the end of the file, where it takes nothing from
// what stands before it, and says what it did. The file is replaced in one step
// and the old one kept; one that is a link is written where it leads.
func addBlock(file, block string) (said string, err error) {
	file, old, err := oldText(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if hasMark(old) {
		return file + " has the lines already: nothing was changed", nil
	}
	said = "added to " + file
	mode := os.FileMode(0o600)
	if fi, err := os.Stat(file); err == nil {
		mode = fi.Mode().Perm()
		backup := file + ".before-muxd"
		if err := replaceText(backup, old, mode); err != nil {
			return "", err
		}
		said += ", the file as it was is " + backup
	} else if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	if n := len(old); n > 0 && old[n-1] != '\n' {
		old = append(old, '\n')
	}
	if len(old) > 0 {
		old = append(old, '\n')
	}
	return said, replaceText(file, append(old, block...), mode)
}

// removeBlock takes the block out of the file again, and says what it did, or
// would do. Lines that somebody changed are not found, and stay.
func removeBlock(file string, write bool) (said string, err error) {
	file, old, err := oldText(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	at := blockLines.FindIndex(old)
	switch {
	case at == nil && hasMark(old):
		return "", fmt.Errorf("%s has lines with %q that are not those of muxd install: take them out by hand", file, sshMark)
	case at == nil:
		return file + " does not have the lines: nothing was changed", nil
	case !write:
		return "would take out of " + file + ":\n" + strings.TrimSuffix(string(old[at[0]:at[1]]), "\n"), nil
	}
	fi, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	backup := file + ".before-muxd"
	if err := replaceText(backup, old, fi.Mode().Perm()); err != nil {
		return "", err
	}
	kept := append(append([]byte{}, old[:at[0]]...), old[at[1]:]...)
	return "taken out of " + file + ", the file as it was is " + backup, replaceText(file, kept, fi.Mode().Perm())
}

// blockLines are the lines of sshBlock, for whatever place, and the empty line
// that addBlock put before them; also where an editor ends lines by CR and LF, and
// the last by nothing.
var blockLines = regexp.MustCompile(`(?m)^(?:\r?\n)?Match final exec "(?:[A-Za-z0-9_./+-]*/)?muxc -O prepare -S [^"\n]* -l %r -p %p %n"\r?\n[ \t]+ControlPath [^\n]*(?:\n|\z)`)
