// Package reach makes the connection under an SSH connection: by TCP to whichever
// address of a name answers first, or by a command of the user's. It exists
// because none of that knows anything of SSH, and because every dial must come
// by the same way.
//
// It refuses to know what the connection is for: who the host is, what is said
// on the connection, and what becomes of a failure are the caller's. Nobody is
// asked anything here, nothing is kept between two dials, and every wait has a
// limit or ends with its context.
package reach
