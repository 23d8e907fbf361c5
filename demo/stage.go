package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// stage is everything that the steps play on.
type stage struct {
	dir    string // private; everything lies in it
	env    []string
	key    *sshtest.Key
	server *sshtest.Server
	door   net.Listener
	rtt    time.Duration

	mu    sync.Mutex
	wires map[*sshtest.Conn]struct{} // guarded by mu; connections that stand
}

// newStage builds the programs, starts the server and writes the files that an
// ssh user would have.
func newStage(ctx context.Context, rtt time.Duration) (*stage, error) {
	dir, err := os.MkdirTemp("", "muxd-demo-")
	if err != nil {
		return nil, err
	}
	key := sshtest.NewKey()
	s := &stage{dir: dir, rtt: rtt, key: key, wires: map[*sshtest.Conn]struct{}{},
		server: sshtest.NewServer(sshtest.Options{AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}})}
	s.env = append(os.Environ(), "MUXD_SOCKET="+s.path("ctl"), "XDG_STATE_HOME="+s.path("state"), "COLUMNS=72")
	if err := errors.Join(s.build(ctx), s.listen(), s.writeFiles()); err != nil {
		s.clear()
		return nil, err
	}
	return s, nil
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// build compiles both programs side by side, as they are installed. Without a
// build cache that takes a minute on a small machine, so it shows that it lives.
func (s *stage) build(ctx context.Context) error {
	fmt.Print("Building muxc and muxd ")
	start := time.Now()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", s.dir, "muxd/cmd/muxc", "muxd/cmd/muxd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	stop := dots()
	err := cmd.Run()
	stop()
	if err != nil {
		fmt.Println()
		return fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(said.String()))
	}
	fmt.Printf(" %.1f s\n", time.Since(start).Seconds())
	return nil
}

// dots prints one each second until it is stopped.
func dots() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				fmt.Print(".")
			case <-end:
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}

// listen opens the door of the server: a loopback port, behind which every
// connection is carried over a slow pipe.
func (s *stage) listen() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.door = ln
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return // closed
			}
			go s.carry(c)
		}
	}()
	return nil
}

// carry moves the bytes of one connection until either end goes.
func (s *stage) carry(c net.Conn) {
	defer c.Close()
	far, err := s.server.Dial(context.Background())
	if err != nil {
		return
	}
	pipe := far.(*sshtest.Conn)
	pipe.Slow(s.rtt / 2)
	s.mu.Lock()
	s.wires[pipe] = struct{}{}
	s.mu.Unlock()
	go func() { io.Copy(pipe, c); pipe.Close() }()
	io.Copy(c, pipe)
	s.mu.Lock()
	delete(s.wires, pipe)
	s.mu.Unlock()
}

// cut breaks every connection that stands, as a network does, and returns how
// many there were.
func (s *stage) cut() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for pipe := range s.wires {
		pipe.Cut()
	}
	return len(s.wires)
}

// writeFiles makes what lies in ~/.ssh elsewhere.
func (s *stage) writeFiles() error {
	if s.door == nil {
		return nil // listen failed, and says why
	}
	block, err := ssh.MarshalPrivateKey(s.key.Private, "demo")
	if err != nil {
		return err
	}
	port := s.door.Addr().(*net.TCPAddr).Port
	config := fmt.Sprintf("Host demo\n  HostName 127.0.0.1\n  Port %d\n  User demo\n"+
		"  IdentityFile %s\n  IdentitiesOnly yes\n  IdentityAgent none\n"+
		"  UserKnownHostsFile %s\n  GlobalKnownHostsFile none\n", port, s.path("id"), s.path("known_hosts"))
	known := fmt.Sprintf("[127.0.0.1]:%d %s", port, ssh.MarshalAuthorizedKey(s.server.HostKey()))
	return errors.Join(
		os.WriteFile(s.path("id"), pem.EncodeToMemory(block), 0o600),
		os.WriteFile(s.path("known_hosts"), []byte(known), 0o600),
		os.WriteFile(s.path("config"), []byte(config), 0o600))
}

// clear takes everything away, a muxd that still runs included.
func (s *stage) clear() {
	if _, err := os.Stat(s.path("ctl")); err == nil {
		s.command(context.Background(), "muxd", "stop", "--force").Run()
	}
	if s.door != nil {
		s.door.Close()
	}
	s.server.Close()
	os.RemoveAll(s.dir)
}

// command is one of our programs, with the demo's surroundings.
func (s *stage) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if name == "muxc" {
		args = append([]string{"-F", s.path("config")}, args...)
	}
	cmd := exec.CommandContext(ctx, s.path(name), args...)
	cmd.Env = s.env
	return cmd
}
