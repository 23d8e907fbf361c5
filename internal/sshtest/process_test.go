package sshtest

import (
	"os"
	"os/exec"
	"testing"
)

func TestProcessesListsThisOneAndItsChild(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	all, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range descendants(all, os.Getpid()) {
		if p.pid == cmd.Process.Pid && p.start != "" {
			return
		}
	}
	t.Error("the child is not there")
}

func TestDescendantsAreOfAllGenerations(t *testing.T) {
	all := []process{{pid: 4, parent: 3}, {pid: 2, parent: 1}, {pid: 3, parent: 2}, {pid: 9, parent: 8}}
	var pids []int
	for _, p := range descendants(all, 1) {
		pids = append(pids, p.pid)
	}
	if len(pids) != 3 || pids[0] != 2 || pids[1] != 3 || pids[2] != 4 {
		t.Errorf("%v", pids)
	}
}
