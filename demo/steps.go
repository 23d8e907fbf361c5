package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// step is one thing to see. Its title may have several lines.
type step struct {
	title string
	play  func(context.Context, *stage) error
}

const (
	// repeats is how often a warm command is run for its median.
	repeats = 20
	// freshRepeats is fewer, because each costs a login: a second of waiting is
	// enough for a figure that is far away from the other.
	freshRepeats = 7
)

var steps = []step{
	{"The first command starts muxd, which logs in.", first},
	{"Every further command travels on the same connection.", warm},
	{"The same command, each time on a connection of its own.", fresh},
	{"The network cuts the connection. The next command notices, logs in again\n" +
		"   and runs: no error, no stale socket to remove.", again},
	{"What muxd holds.", status},
	{"Stop it. (Left alone it ends by itself when it has nothing to hold.)", stop},
}

func first(ctx context.Context, s *stage) error {
	took, err := s.say(ctx, "hello")
	if err != nil {
		return err
	}
	show("muxc demo echo hello", "hello", took)
	return nil
}

func warm(ctx context.Context, s *stage) error {
	took, err := times(repeats, func() (time.Duration, error) { return s.say(ctx, "hello") })
	if err != nil {
		return err
	}
	showMany("muxc demo echo hello", took)
	return nil
}

func fresh(ctx context.Context, s *stage) error {
	took, err := times(freshRepeats, func() (time.Duration, error) { return s.sayFresh("hello") })
	if err != nil {
		return err
	}
	showMany("(connect, log in, echo hello)", took)
	fmt.Print("   This is done inside the demo, without starting a process: ssh takes longer.\n")
	return nil
}

func again(ctx context.Context, s *stage) error {
	if s.cut() == 0 {
		return fmt.Errorf("no connection was left to cut")
	}
	took, err := s.say(ctx, "still here")
	if err != nil {
		return err
	}
	show("muxc demo echo still here", "still here", took)
	return nil
}

func status(ctx context.Context, s *stage) error {
	out, err := s.output(ctx, "muxd", "status")
	if err != nil {
		return err
	}
	// The socket's path is a temporary one of any length.
	out = strings.ReplaceAll(out, ", "+s.path("ctl"), "")
	if !strings.Contains(out, "ready") {
		return fmt.Errorf("muxd status shows no connection that is ready: %q", out)
	}
	show("muxd status", out, 0)
	return nil
}

func stop(ctx context.Context, s *stage) error {
	out, err := s.output(ctx, "muxd", "stop")
	if err != nil {
		return err
	}
	show("muxd stop", out, 0)
	return nil
}

// say runs echo through muxc and returns how long that took.
func (s *stage) say(ctx context.Context, words string) (time.Duration, error) {
	start := time.Now()
	out, err := s.output(ctx, "muxc", "demo", "echo", words)
	took := time.Since(start)
	if err == nil && out != words+"\n" {
		err = fmt.Errorf("muxc demo echo %s printed %q", words, out)
	}
	return took, err
}

// sayFresh is the same without muxd.
func (s *stage) sayFresh(words string) (time.Duration, error) {
	start := time.Now()
	c, err := ssh.Dial("tcp", s.door.Addr().String(), &ssh.ClientConfig{User: "demo",
		Auth: []ssh.AuthMethod{ssh.PublicKeys(s.key)}, HostKeyCallback: ssh.FixedHostKey(s.server.HostKey())})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	session, err := c.NewSession()
	if err != nil {
		return 0, err
	}
	out, err := session.Output("echo " + words)
	took := time.Since(start)
	if err == nil && string(out) != words+"\n" {
		err = fmt.Errorf("the server printed %q", out)
	}
	return took, err
}

// output runs one of our programs. What it says on stderr is the error.
func (s *stage) output(ctx context.Context, name string, args ...string) (string, error) {
	var out, said bytes.Buffer
	cmd := s.command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	if said.Len() > 0 {
		return "", fmt.Errorf("%s %s wrote to stderr: %q", name, strings.Join(args, " "), said.String())
	}
	return out.String(), nil
}

// times collects n durations, sorted.
func times(n int, f func() (time.Duration, error)) ([]time.Duration, error) {
	var took []time.Duration
	for range n {
		d, err := f()
		if err != nil {
			return nil, err
		}
		took = append(took, d)
	}
	slices.Sort(took)
	return took, nil
}

// width is how far a line may reach: a terminal's 80 columns less one, so that
// none wraps.
const width = 79

// show prints a command, what it printed, and how long it took.
func show(command, output string, took time.Duration) {
	right := ""
	if took > 0 {
		right = millis(took)
	}
	line("$ "+command, right)
	for l := range strings.Lines(output) {
		fmt.Print("   " + strings.TrimRight(l, "\n") + "\n")
	}
}

// showMany prints the median of sorted durations, and the ends.
func showMany(command string, took []time.Duration) {
	line(fmt.Sprintf("$ %s   x %d", command, len(took)), "median "+millis(took[len(took)/2]))
	line("", "fastest "+millis(took[0])+", slowest "+millis(took[len(took)-1]))
}

func line(left, right string) {
	fmt.Println(strings.TrimRight(fmt.Sprintf("   %s%*s", left, width-3-len(left), right), " "))
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
