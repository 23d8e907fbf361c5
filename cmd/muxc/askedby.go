package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// shells are the programs at which a person types commands: a question that
// comes from one of them needs no explanation.
var shells = []string{"sh", "bash", "dash", "zsh", "fish", "ksh", "mksh", "tcsh", "csh", "ash", "busybox", "nu", "elvish", "xonsh", "pwsh", "login", "tmux", "screen"}

// askedBy says which program caused a question that the person may not expect,
// "" where that is obvious: who typed the command leads its process group, or
// did so at a shell.
func askedBy(host string) string {
	ppid := os.Getppid()
	if syscall.Getpgrp() == os.Getpid() || ppid <= 1 {
		return ""
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(ppid) + "/comm")
	name := strings.TrimSpace(string(b))
	if err != nil || name == "" || slices.Contains(shells, strings.TrimPrefix(name, "-")) {
		return ""
	}
	return "muxc: " + host + ": asked by " + printable(name) + " (pid " + strconv.Itoa(ppid) + ")\n"
}

// printable keeps a process's name, which the process itself chooses, from
// acting on the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
