//go:build !linux

package sshtest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// processes asks ps, which is slower than a /proc and as good.
func processes() ([]process, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,lstart=,comm=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var list []process
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line) // lstart is five words
		if len(f) < 8 {
			continue
		}
		pid, err1 := strconv.Atoi(f[0])
		parent, err2 := strconv.Atoi(f[1])
		if err1 == nil && err2 == nil {
			list = append(list, process{pid, parent, filepath.Base(f[7]), strings.Join(f[2:7], " ")})
		}
	}
	return list, nil
}

// dieWithParent does nothing: there is no such bond. A test that is killed
// leaves its sshd, one that fails does not.
func dieWithParent(*exec.Cmd) {}
