package sshtest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// firstPort and ports are where FreePort looks: below the ports that the kernel
// gives to outgoing connections, one of which could take it while its owner has
// stopped listening for a moment.
const (
	firstPort = 10000
	ports     = 22000
)

// given are the ports that this process's tests had.
var given struct {
	mu    sync.Mutex
	ports map[int]bool // guarded by mu
}

// FreePort returns a port that nobody listens on now, on any address of this
// machine, and that no other test of this process is given: what one of them
// expects to find closed, another would open. It may be called from any goroutine
// of the test's.
func FreePort(t testing.TB) int {
	t.Helper()
	return FreePorts(t, 1)
}

// FreePorts is FreePort for so many in a row, of which it returns the first.
func FreePorts(t testing.TB, n int) int {
	t.Helper()
	given.mu.Lock()
	defer given.mu.Unlock()
	if given.ports == nil || len(given.ports) > ports/2 { // a test that is run ten thousand times
		given.ports = map[int]bool{}
	}
	for range 100 {
		first := firstPort + rand.IntN(ports-n)
		free := 0
		for free < n && !given.ports[first+free] && unused(first+free) {
			free++
		}
		if free < n {
			continue
		}
		for i := range n {
			given.ports[first+i] = true
		}
		return first
	}
	t.Fatalf("no %d ports are free between %d and %d", n, firstPort, firstPort+ports)
	return 0
}

func unused(port int) bool {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err == nil {
		l.Close()
	}
	return err == nil
}
