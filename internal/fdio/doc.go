// Package fdio moves bytes on descriptors that another process passed over a
// socket and goes on using: standard input and output of a client, which are
// those of its shell and of the rest of its pipeline, too.
//
// Two things must not happen to them. O_NONBLOCK belongs to the open file
// description and not to the descriptor, so whoever sets it breaks every other
// process that has it; here no flag is ever changed. And a read that is left
// behind when a session is over would take the line that is typed next; here
// Close ends the read, and what arrives later is somebody else's.
//
// A descriptor is served in the first of these ways that it allows (Linux):
//
//   - A pipe or a terminal is opened again through /proc/self/fd, which makes
//     a description of our own that may be non-blocking, and Go's poller does
//     the rest.
//   - A socket cannot be opened again, but its calls take MSG_DONTWAIT.
//   - A file, or a device like /dev/null, is always ready. It is read and
//     written where its shared offset stands: in "while read; do …; done <f"
//     the loop and the command take turns at one file.
//   - The rest (a pipe or terminal of another user, which may not be opened
//     again, /dev/tty, the master's side of a terminal) is waited for by a
//     private epoll instance and then read by a call that does not wait, if
//     the kernel has one for it, and else by one that might.
//
// No way costs an operating system thread while it waits, save the last half
// sentence: see held.aside. The package knows no protocol.
package fdio
