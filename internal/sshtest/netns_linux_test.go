package sshtest

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestNetnsFaults(t *testing.T) {
	n := NewNetns(t)
	s := n.StartSSHD(t)
	for name, test := range map[string]struct {
		break_ func()
		resets bool
	}{
		"black hole":            {n.Blackhole, false},
		"client to server lost": {func() { n.OneWay(Up) }, false},
		"server to client lost": {func() { n.OneWay(Down) }, false},
		"both ways lost":        {func() { n.OneWay(Both) }, false},
		"reset":                 {n.Reset, true},
	} {
		t.Run(name, func(t *testing.T) {
			defer n.Heal()
			c := mustLogin(t, s)
			if !alive(c) {
				t.Fatal("dead before the fault")
			}
			test.break_()
			ok, done := answersWithin(c, 300*time.Millisecond)
			if ok {
				t.Error("answers through the fault")
			}
			if test.resets {
				if <-done || !errors.Is(c.Wait(), syscall.ECONNRESET) {
					t.Errorf("not reset: %v", c.Wait())
				}
				return
			}
			n.Heal()
			n.Heal() // when there is no fault it does nothing
			if !<-done {
				t.Error("the connection did not survive")
			}
		})
	}
}

func TestNetnsDialFailsInABlackHole(t *testing.T) {
	n := NewNetns(t)
	n.Blackhole()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := n.Dial(ctx, "tcp", net.JoinHostPort(ServerIP, "22"))
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("dial: %v", err)
	}
	n.Heal()
	if _, err := n.Dial(t.Context(), "tcp", net.JoinHostPort(ServerIP, "22")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("healed, but: %v", err)
	}
}

func TestNetnsRunsStockSSH(t *testing.T) {
	Require(t, "ssh")
	n := NewNetns(t)
	s := n.StartSSHD(t)
	out, err := n.Exec("ssh", "-F", s.ClientConfig(t, "far"), "far", "echo $SSH_CONNECTION").Output()
	if err != nil || !strings.HasPrefix(string(out), ClientIP+" ") {
		t.Errorf("%q, %v", out, err)
	}
}

// This process stays where it was, and what runs in a namespace ends with the
// test that made it.
func TestNetnsLeavesNothing(t *testing.T) {
	Require(t, "netns")
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var n *Netns
	var pid int
	t.Run("a test", func(t *testing.T) {
		n = NewNetns(t)
		cmd := n.ExecServer("sleep", "86398")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pid = cmd.Process.Pid
		go cmd.Wait()
		soon(t, "the command is inside", func() bool { return len(inside(n.server)) == 1 })
		if list := inside(n.client); len(list) > 0 {
			t.Errorf("inside the client's: %v", list)
		}
	})
	soon(t, "the command has ended", func() bool { return syscall.Kill(pid, 0) != nil })
	if after, _ := os.Readlink("/proc/self/ns/net"); after != before {
		t.Errorf("this process went from %s to %s", before, after)
	}
	if list, _ := net.InterfaceByName("veth"); list != nil {
		t.Error("the link is in the machine's own namespace")
	}
}

// What tells the two directions apart: with the answers lost, the command
// still runs.
func TestNetnsOneWayIsTheWayItSays(t *testing.T) {
	n := NewNetns(t)
	s := n.StartSSHD(t)
	for d, runs := range map[Direction]bool{Down: true, Up: false} {
		n.Heal()
		c := mustLogin(t, s)
		session := newSession(t, c)
		mark := filepath.Join(t.TempDir(), "mark")
		n.OneWay(d)
		go session.Run("touch " + mark)
		ran := func() bool { _, err := os.Stat(mark); return err == nil }
		if runs {
			soon(t, "the command runs", ran)
		} else if time.Sleep(300 * time.Millisecond); ran() {
			t.Error("the command was heard")
		}
		c.Close()
	}
}
