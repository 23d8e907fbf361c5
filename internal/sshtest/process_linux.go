package sshtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// processes reads the table from /proc. A process that ends while it is read
// is left out, and so is a zombie: its parent's business.
func processes() ([]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var list []process
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if p, ok := parseStat(string(text)); ok {
			list = append(list, p)
		}
	}
	return list, nil
}

// parseStat reads a line of proc_pid_stat(5): fields 1, 2, 4 and 22. The name
// is in parentheses and may contain any.
func parseStat(line string) (process, bool) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line[:open]))
	rest := strings.Fields(line[end+1:])
	if err != nil || len(rest) < 20 || rest[0] == "Z" {
		return process{}, false
	}
	parent, err := strconv.Atoi(rest[1])
	return process{pid, parent, line[open+1 : end], rest[19]}, err == nil
}

// dieWithParent is for startBound.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
