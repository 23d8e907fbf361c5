package reach

import (
	"bufio"
	"context"
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// grace is how long a ProxyCommand has to end after its connection was
// closed and its group was told so (SIGHUP, as ssh does), before it is killed.
const grace = 2 * time.Second

// late is how much later than its output's end a child's own end may come: long
// against a goroutine switch on a loaded machine.
const late = 200 * time.Millisecond

// lineMax bounds a line of a ProxyCommand's stderr.
const lineMax = 4 << 10

// child is a ProxyCommand that runs: a child of muxd with the environment
// of the client that asked, in / and in a process group of its own, because it
// may outlive that client.
type child struct {
	cmd   *exec.Cmd
	said  chan struct{} // closed when its stderr ended
	ended chan struct{} // closed when it was waited for
	err   error         // how it ended; set before ended is closed
}

// living are the ProxyCommands that run.
var living = struct {
	sync.Mutex
	all map[*child]struct{} // guarded by Mutex
}{all: map[*child]struct{}{}}

// EndChildren ends the ProxyCommands that run, as the end of their connections
// does, and returns when all have ended. One that does not is killed after two
// seconds. It is for the end of this process, after which nobody
// would see to it.
func EndChildren() {
	living.Lock()
	all := slices.Collect(maps.Keys(living.all))
	living.Unlock()
	for _, c := range all {
		c.end(0)
	}
	for _, c := range all {
		<-c.ended
	}
}

// start starts the command on the files given, which stay the caller's.
func (c *Command) start(stdin, stdout *os.File) (*child, error) {
	cmd := exec.Command(c.Shell, "-c", "exec "+c.Line)
	cmd.Dir, cmd.Env = "/", c.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said, stderr, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	err = cmd.Start()
	stderr.Close()
	if err != nil {
		said.Close()
		return nil, err
	}
	ch := &child{cmd: cmd, said: make(chan struct{}), ended: make(chan struct{})}
	living.Lock()
	living.all[ch] = struct{}{}
	living.Unlock()
	go ch.relay(said, c.Said)
	go ch.reap()
	return ch, nil
}

// relay passes on the child's lines. A child that goes on talking is read for
// ever: a full pipe would stop it.
func (c *child) relay(said *os.File, tell func(line string)) {
	defer close(c.said)
	defer said.Close()
	r := bufio.NewReaderSize(said, lineMax)
	for {
		line, _, err := r.ReadLine()
		if err != nil {
			return
		}
		tell(string(line))
	}
}

// reap waits for the child, so that no zombie stays.
func (c *child) reap() {
	c.err = c.cmd.Wait()
	living.Lock()
	delete(living.all, c)
	living.Unlock()
	close(c.ended)
}

// heard waits, for a moment at most, until what the child said has been passed
// on.
func (c *child) heard() {
	select {
	case <-c.said:
	case <-time.After(late):
	}
}

// outcome says whether the child ended, and the error if it failed. To be called
// when its output ended: its own end comes a moment later. What it said before
// has been passed on by then, so that the person reads the reason before the
// result.
func (c *child) outcome() (ended bool, err error) {
	wait, cancel := context.WithTimeout(context.Background(), late)
	defer cancel()
	for _, done := range []chan struct{}{c.said, c.ended} {
		select {
		case <-done:
		case <-wait.Done():
		}
	}
	select {
	case <-c.ended:
		return true, c.err
	default:
		return false, nil
	}
}

// end sees to it, in the background, that the child and its group end: told so
// after a while, and killed after a while more.
func (c *child) end(after time.Duration) {
	group := -c.cmd.Process.Pid
	go func() {
		select {
		case <-c.ended:
			return // waited for: its number may be somebody else's by now
		case <-time.After(after):
		}
		syscall.Kill(group, syscall.SIGHUP)
		select {
		case <-c.ended:
		case <-time.After(grace):
		}
		// What is left of the group, also when its first process is gone.
		syscall.Kill(group, syscall.SIGKILL)
	}()
}
