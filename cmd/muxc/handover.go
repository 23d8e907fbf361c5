package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// handedEnv counts how often a request was handed over to ssh, in the
// environment of that ssh. A script of that name that calls muxc is found like
// any other, and would come back here for ever.
const handedEnv = "MUXC_HANDED_OVER"

// handedMax is more than anybody needs who means it: an ssh whose ProxyCommand
// is muxc may hand over once more.
const handedMax = 4

// becomeSSH replaces this process by ssh, for a connection that is in the hands
// of another master. It returns only when that fails.
func becomeSSH(args []string) error {
	path, err := findSSH()
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(os.Getenv(handedEnv))
	if n >= handedMax {
		return errors.New("another master serves the ControlPath, and " + path + " is no ssh to talk to it: it calls muxc")
	}
	os.Setenv(handedEnv, strconv.Itoa(n+1))
	return &os.PathError{Op: "exec", Path: path, Err: syscall.Exec(path, append([]string{"ssh"}, args...), os.Environ())}
}

// findSSH looks in PATH for an ssh that is not this program under its name.
func findSSH() (string, error) {
	me, _ := os.Stat(self())
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, "ssh")
		st, err := os.Stat(path)
		if err == nil && filepath.IsAbs(dir) && st.Mode().IsRegular() && st.Mode()&0o111 != 0 && !os.SameFile(st, me) {
			return path, nil
		}
	}
	return "", errors.New("another master serves the ControlPath, and there is no ssh in PATH to talk to it")
}
