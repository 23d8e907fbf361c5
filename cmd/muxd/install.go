package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"muxd/socket"
)

// sshBlock are the lines that have stock ssh use muxd, for a muxd that serves
// at a place. They name the user by %i where they can, so that a configuration
// that is shared between machines holds on all of them; nothing in them is an
// environment variable, since one that is not set is fatal to ssh.
func sshBlock(p socket.Place) string {
	dir := filepath.Join(p.Dir, "c")
	if run := "/run/user/" + strconv.Itoa(os.Getuid()); strings.HasPrefix(dir, run+"/") {
		dir = "/run/user/%i" + strings.TrimPrefix(dir, run)
	}
	path := dir + "/%C"
	return "Match final exec \"muxc -O prepare -S " + path + " -l %r -p %p %n\"\n    ControlPath " + path + "\n"
}

// sshMark is what tells that the block is there, in whatever place.
const sshMark = "muxc -O prepare"

// install is muxd install.
func install(args []string) int {
	config, write := false, false
	for _, a := range args {
		switch a {
		case "--ssh-config":
			config = true
		case "--write":
			write = true
		default:
			return misused("install: unknown argument " + strconv.Quote(a))
		}
	}
	if !config {
		return misused("install: say what: --ssh-config")
	}
	p, err := socket.Choose(os.Getenv)
	if err != nil {
		return complain(err)
	}
	block := sshBlock(p)
	if !write {
		fmt.Print(block)
		return 0
	}
	u, err := user.Current()
	if err != nil {
		return complain(err)
	}
	said, err := addBlock(filepath.Join(u.HomeDir, ".ssh", "config"), block)
	if err != nil {
		return complain(err)
	}
	fmt.Println(said)
	return 0
}

// addBlock puts the block at the end of the file, where it takes nothing from
// what stands before it, and says what it did. The file is replaced in one step
// and the old one kept; one that is a link is written where it leads.
func addBlock(file, block string) (said string, err error) {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if bytes.Contains(old, []byte(sshMark)) {
		return file + " has the lines already: nothing was changed", nil
	}
	said = "added to " + file
	mode := os.FileMode(0o600)
	if fi, err := os.Stat(file); err == nil {
		mode = fi.Mode().Perm()
		backup := file + ".before-muxd"
		if err := os.WriteFile(backup, old, mode); err != nil {
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
	temp := file + ".muxd-new"
	if err := os.WriteFile(temp, append(old, block...), mode); err != nil {
		return "", err
	}
	if err := os.Rename(temp, file); err != nil {
		os.Remove(temp)
		return "", err
	}
	return said, nil
}
