package sshauth

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// PrivateConfig says where a PrivateAgent lives.
type PrivateConfig struct {
	// Dir is how the name of its directory begins. That is made when the agent
	// is first needed, for nobody else to enter, and goes when it ends.
	Dir string
	// Askpass is the path of a program that calls Askpass where AskpassVar is
	// set.
	Askpass string
	// Log may be nil.
	Log *slog.Logger
}

// PrivateAgent is an ssh-agent of our own. It holds the keys that x/crypto
// cannot read and ssh-add can: those of security keys and smart cards, and
// files of formats and ciphers that are missing here. It is started when the
// first such key is used. Its methods may be called from any goroutine.
//
// Nobody is told its socket, and a login has it sign only with keys that its
// own configuration names.
type PrivateAgent struct {
	cfg PrivateConfig
	// turn holds a token while the agent signs: what it asks meanwhile does not
	// say for whom, and it serves one request at a time anyway.
	turn chan struct{}
	// card holds a token while a provider is loaded: whoever comes second finds
	// it loaded, as it cannot be a second time.
	card chan struct{}

	mu      sync.Mutex
	proc    *agentProcess       // guarded by mu; nil: none runs
	held    map[string]*holding // guarded by mu; by path of the file or provider
	loading map[string]int      // guarded by mu; files that logins are having loaded
	relays  int                 // guarded by mu; names their sockets
	closed  bool                // guarded by mu
}

// errEnded is what a closed PrivateAgent answers.
var errEnded = errors.New("the private agent has ended")

// NewPrivateAgent starts nothing yet.
func NewPrivateAgent(cfg PrivateConfig) *PrivateAgent {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &PrivateAgent{cfg: cfg, turn: make(chan struct{}, 1), card: make(chan struct{}, 1),
		held: map[string]*holding{}, loading: map[string]int{}}
}

// Close ends the agent, and the keys are gone with it.
func (p *PrivateAgent) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.end()
}

// end is called with mu held.
func (p *PrivateAgent) end() {
	if p.proc != nil {
		p.proc.end()
		p.proc = nil
	}
	clear(p.held)
}

// process returns the agent that runs, starting one if need be.
func (p *PrivateAgent) process() (*agentProcess, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.processLocked()
}

func (p *PrivateAgent) processLocked() (*agentProcess, error) {
	if p.closed {
		return nil, errEnded
	}
	if p.proc != nil && p.proc.alive() {
		return p.proc, nil
	}
	p.end() // what it held has gone
	proc, err := startAgent(p.cfg.Dir, p.cfg.Askpass)
	if err != nil {
		return nil, err
	}
	p.cfg.Log.Info("private agent started", "socket", proc.socket)
	p.proc = proc
	return proc, nil
}

// running reports whether there may be anything in the agent.
func (p *PrivateAgent) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proc != nil && p.proc.alive()
}

// dial connects to the agent. One that was killed is replaced.
func (p *PrivateAgent) dial(ctx context.Context) (*agentConn, *agentProcess, error) {
	for again := false; ; again = true {
		proc, err := p.process()
		if err != nil {
			return nil, nil, err
		}
		a, err := dialAgent(ctx, proc.socket)
		if err == nil || again || ctx.Err() != nil {
			return a, proc, err
		}
		p.discard(proc, err)
	}
}

// discard ends an agent that does not answer; the next one to need it starts
// another.
func (p *PrivateAgent) discard(proc *agentProcess, why error) {
	p.cfg.Log.Warn("private agent does not answer", "err", why)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc == proc {
		p.end()
	}
}

// relay makes a relay for one run of ssh-add.
func (p *PrivateAgent) relay() (*relay, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	proc, err := p.processLocked()
	if err != nil {
		return nil, err
	}
	p.relays++
	return newRelay(filepath.Join(proc.dir, "q"+strconv.Itoa(p.relays)))
}

// enter takes the token of turn or card. Whoever has it may be waiting for a
// person.
func (l *Login) enter(c chan struct{}) (leave func(), err error) {
	defer l.waiting()()
	select {
	case c <- struct{}{}:
		return func() { <-c }, nil
	case <-l.ctx.Done():
		return nil, context.Cause(l.ctx)
	}
}

// usualDirs are where OpenSSH's programs are when PATH, as a service manager
// sets it, does not say so.
var usualDirs = []string{"/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"}

// find returns the path of one of OpenSSH's programs.
func find(program string) (string, error) {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), usualDirs...) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); filepath.IsAbs(path) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", &missingError{program}
}

// missingError is a program that is not there.
type missingError struct{ program string }

func (e *missingError) Error() string {
	return e.program + " is not installed here: install OpenSSH's client programs (ssh-agent, ssh-add)"
}

// environment is what the programs are given: no agent, no display and no
// askpass but what is added.
func environment(add ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "HOME", "USER", "LOGNAME", "PATH", "LANG", "LC_ALL", "LC_MESSAGES", "TZ", "TMPDIR":
			env = append(env, kv)
		}
	}
	return append(env, add...)
}

// askpassEnv makes program the SSH_ASKPASS, with or without a display.
func askpassEnv(program, socket string) []string {
	return []string{"SSH_ASKPASS=" + program, "SSH_ASKPASS_REQUIRE=force", AskpassVar + "=" + socket}
}
