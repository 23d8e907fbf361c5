package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// bin is the directory that holds the two programs under test.
var bin string

// started are the logs of every muxd that a test started: each names its
// process, so that the end of the run can tell whether one was left behind.
var started struct {
	sync.Mutex
	logs []string // guarded by Mutex
}

// TestMain builds both programs once, side by side as they are installed, and
// refuses to pass a run that leaves a muxd behind. MUX_TEST_BUILD holds more
// flags for go build, such as -race.
func TestMain(m *testing.M) {
	if path := os.Getenv("MUX_TEST_PLAY_MUXD"); path != "" {
		playOtherMuxd(path)
	}
	// Tests here wait for processes rather than for this one's processors.
	if signal.Ignored(os.Interrupt) { // in the background of a script, and then for all that we start
		signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGQUIT)
	}
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		p.Value.Set(strconv.Itoa(4 * runtime.GOMAXPROCS(0)))
	}
	dir, err := os.MkdirTemp("", "muxbin")
	if err != nil {
		fatal(err)
	}
	bin = dir
	os.Chmod(dir, 0o755) // one test runs muxd as nobody
	args := append([]string{"build"}, strings.Fields(os.Getenv("MUX_TEST_BUILD"))...)
	build := exec.Command("go", append(args, "-o", bin+"/", "muxd/cmd/muxc", "muxd/cmd/muxd")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if len(args) > 1 {
		build.Env = append(os.Environ(), "CGO_ENABLED=1") // which the race detector needs
	}
	if out, err := build.CombinedOutput(); err != nil {
		fatal(fmt.Errorf("go build: %w\n%s", err, out))
	}
	code := m.Run()
	if left := leftovers(); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: left behind by the tests: %v\n", left)
		code = 1
	}
	os.RemoveAll(bin)
	os.Exit(code)
}

// dependOnSources looks at every source file, because the go command repeats a
// test's result as long as what the test looked at is as it was, and does not
// see that this one builds a program of packages that it does not import. It
// has to be in a test: what TestMain looks at does not count.
var dependOnSources = sync.OnceFunc(func() {
	filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".go" {
			os.Stat(path)
		}
		return nil
	})
})

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// leftovers are the processes of the programs under test that still run.
func leftovers() []string {
	var left []string
	exes, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range exes {
		// Only root may look at a muxd this way; nobody else has it run as root.
		if to, err := os.Readlink(exe); err == nil && strings.HasPrefix(to, bin+"/") {
			left = append(left, filepath.Base(to)+" "+filepath.Base(filepath.Dir(exe)))
		}
	}
	started.Lock()
	defer started.Unlock()
	for _, log := range started.logs {
		for _, pid := range pidsIn(log) {
			if isMuxd(pid) {
				left = append(left, fmt.Sprintf("muxd %d", pid))
			}
		}
	}
	return left
}
