// Package sshtest is the other end of the wire for every test of this module:
// an SSH server in this process, on a connection in memory that can be cut,
// stalled and slowed; a fixture for a real sshd; a TCP proxy and network
// namespaces that fail on demand; and an SSH agent. It exists so that a rule
// about time or loss is tested against something that keeps time and loses
// bytes exactly as told.
//
// What lives in memory (Pipe, Server.Dial) may be used in a testing/synctest
// bubble: it waits in sync.Cond, channels and timers only. What touches the
// kernel (Server.Listen, StartSSHD, NewProxy, NewNetns, ServeAgent) must not.
//
// The package refuses three things. It imports nothing of this module, so that
// a test of any package may use it. It is no SSH server for anybody's use: it
// runs no programs, its commands are a dozen built-in words, and it reports
// where a real server would be silent. And it decides no outcome: apart from
// its own set-up, which fails the test at once, it records what happened and
// leaves the verdict to the test.
package sshtest
