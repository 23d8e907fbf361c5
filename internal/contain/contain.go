// Package contain keeps a panic in work that nobody else shares to whoever the
// work was done for.
//
// A panic says that something of ours is not as it should be, and not what. Where
// the code that panicked held a lock, or was half-way through changing what others
// see, to go on would be to hang them or to lie to them; there the panic ends muxd,
// every client with 255 and how far its command had come, and the next command
// starts another muxd. So the boundary is drawn around pure work alone: what turns
// that which another party wrote (a request, a configuration, a file of keys) into
// values that nobody else has yet. It holds no lock but such as belong to the one
// client or login, and what it leaves behind half done is garbage. Besides it is
// where input that nobody foresaw arrives.
//
// A panic in a goroutine of a library's own cannot be contained by anybody.
package contain

import (
	"fmt"
	"runtime"
)

// Do runs f and returns its error, or one that says that f panicked while it did
// what is named. The panic and where it was go to report, which is a logger's
// method. Runtime errors that are no panics (a concurrent map write, no memory)
// still end the process.
func Do(report func(msg string, args ...any), what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			stack := make([]byte, 16<<10)
			report("a panic, which is a bug", "in", what, "panic", fmt.Sprint(p), "stack", string(stack[:runtime.Stack(stack, false)]))
			err = fmt.Errorf("%s failed because of a bug in muxd (its log says where)", what)
		}
	}()
	return f()
}
