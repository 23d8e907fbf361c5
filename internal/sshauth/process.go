package sshauth

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// agentProcess is an ssh-agent that runs, with the relay for what it asks
// itself: the PIN of a security key.
type agentProcess struct {
	dir, socket string
	relay       *relay
	hold        *os.File // its closing ends the agent
	cmd         *exec.Cmd
	done        chan struct{} // closed when the guard has ended
}

// startTime bounds the start of an agent, which takes some milliseconds.
const startTime = 15 * time.Second

// guard is what ssh-agent runs: it ends the agent and removes its directory
// when its input ends, as it does whenever and however this process ends. A
// signal bound to the death of a parent does not do: Linux drops that of a
// setgid program, which ssh-agent is on Debian. Nobody reads its errors then,
// and a complaint that the agent has gone already must not end it too early.
// Should the guard be killed itself, the agent ends within ten seconds
// (ssh-agent.c, parent_alive_interval).
const guard = `trap "" HUP INT QUIT TERM PIPE
echo "$SSH_AGENT_PID"
exec 2>/dev/null
read -r x
kill "$SSH_AGENT_PID"
kill -CONT "$SSH_AGENT_PID"
rm -rf "$0"`

// maxDir leaves room for what is added to it: a socket's path may have 103 bytes
// on macOS, 107 on Linux.
const maxDir = 80

// startAgent starts ssh-agent and returns when it listens.
func startAgent(dir, askpass string) (*agentProcess, error) {
	program, err := find("ssh-agent")
	if err != nil {
		return nil, err
	}
	if _, err := find("ssh-add"); err != nil { // of no use without
		return nil, err
	}
	if dir, err = makeDir(dir); err != nil {
		return nil, err
	}
	p := &agentProcess{dir: dir, socket: filepath.Join(dir, "s"), done: make(chan struct{})}
	own := filepath.Join(dir, "a")
	if p.relay, err = newRelay(own); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	// Any provider: those that are loaded are named in the configuration, and
	// ssh, too, loads them from wherever they are.
	p.cmd = exec.Command(program, "-a", p.socket, "-P", "*", "/bin/sh", "-c", guard, dir)
	p.cmd.Env, p.cmd.Dir = environment(askpassEnv(askpass, own)...), "/"
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal's signals
	if err := p.start(); err != nil {
		p.relay.close()
		os.RemoveAll(dir)
		return nil, fmt.Errorf("cannot start ssh-agent: %w", err)
	}
	return p, nil
}

// makeDir makes a directory that only this user enters, with a name that begins
// with dir: where one was left, or belongs to a process that has not quite
// ended, it is not taken over.
func makeDir(dir string) (string, error) {
	if dir == "" || len(dir) > maxDir {
		dir = "/tmp/muxd-keys-" + strconv.Itoa(os.Getuid())
	}
	sweep(dir)
	return os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+"-*")
}

// sweep removes what was left of agents that were killed with their guards, as
// when the machine lost its power.
func sweep(dir string) {
	old, _ := filepath.Glob(dir + "-*")
	for _, d := range old {
		info, err := os.Lstat(d)
		if err != nil || !info.IsDir() || !ours(info) || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		c, err := net.Dial("unix", filepath.Join(d, "s"))
		if err == nil {
			c.Close()
		} else if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
			os.RemoveAll(d)
		}
	}
}

// start runs the command and waits for the guard's first line: by then the
// agent listens.
func (p *agentProcess) start() error {
	in, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	out, said, err := os.Pipe()
	if err != nil {
		hold.Close()
		return err
	}
	defer out.Close()
	fault := &tail{}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = in, said, fault, time.Second
	err = p.cmd.Start()
	said.Close()
	if err != nil {
		hold.Close()
		return err
	}
	p.hold = hold
	go func() { defer close(p.done); p.cmd.Wait() }()
	out.SetReadDeadline(time.Now().Add(startTime))
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil && strings.TrimSpace(line) == "" {
		err = errors.New("it does not run in the background")
	}
	if err != nil {
		p.stop()
		if text := fault.last(); text != "" {
			err = errors.New(text)
		}
	}
	return err
}

func (p *agentProcess) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop ends the agent and waits for its guard, which has two things to do.
func (p *agentProcess) stop() {
	p.hold.Close()
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *agentProcess) end() {
	p.relay.close()
	p.stop()
	os.RemoveAll(p.dir) // if the guard could not
}

// tail keeps the end of what a program says: the line that tells why it failed.
type tail struct{ b []byte }

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	if n := len(t.b) - 1024; n > 0 {
		t.b = t.b[n:]
	}
	return len(b), nil
}

// last is the last line, cleaned of what does not belong on a terminal.
func (t *tail) last() string {
	text := strings.TrimSpace(string(t.b))
	text = strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}
