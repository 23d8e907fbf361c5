// Package term is muxc's side of the person's terminal: its size and modes, raw
// mode and the way back, suspending, the escape characters, asking a question,
// and one line that is drawn again in its place, with the Enter key for it. It
// exists because each of these has one wrong order that leaves a shell without
// echo, and because the libraries at hand buffer what the person typed for the
// next program, or fail in the background.
//
// The rules that hold for all of it:
//
//   - Job control belongs to the kernel. SIGTSTP, SIGTTIN and SIGTTOU keep their
//     default action, and no program that uses this package may pass them to
//     signal.Notify: Go never gives a default action back once it was taken,
//     and with a handler on SIGTTOU a background ioctl restarts for ever.
//   - Taking the terminal in the background stops the process until it is
//     brought forward, as it does ssh. Giving it back in the background does
//     nothing: the shell has already taken it.
//   - Modes change at once. Nothing waits for output to drain, which behind a
//     ^S is never. Input is thrown away in two places only: what was typed
//     before a question, and the rest of a secret that is not wanted any more;
//     and an Enter that was pressed alone is taken by whoever listens for it.
//
// The package refuses to know what it is used for: no host, no request, no
// wording of a question. It writes to no descriptor but the terminal that it
// opened and the one that a StatusLine was given, reads no configuration but
// the SSH_ASKPASS variables, and does not make text from a server safe to
// print; that was done before it came here.
package term
