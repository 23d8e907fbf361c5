// Package socket is the one private Unix socket of a user's muxd: where it is,
// which process may serve it, who may connect, and how descriptors travel.
//
// It exists because the socket is the privilege. Whoever can talk to muxd can
// run commands on every host the user is logged in to, and whoever can pose as
// muxd is told the user's passwords. So the directory is checked before it is
// used, a lock held for life decides who serves, and each side asks the kernel
// who the other one is before a byte is read or written.
//
// It refuses to repair what it finds: a directory that was open to others is
// never made private and then trusted, a file that is not a socket is never
// replaced, and a socket that this process did not make is never removed. It
// speaks no protocol, starts no process, and does not import net, whose
// start-up a client that lives for a millisecond would have to pay for.
package socket
