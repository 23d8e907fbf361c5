package socket

import (
	"os"

	"golang.org/x/sys/unix"
)

// Dup returns another descriptor of the connection, for a child process that
// goes on with it. The caller closes it.
func (c *Conn) Dup() (*os.File, error) {
	var fd int
	var err error
	if cerr := c.raw.Control(func(s uintptr) { fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil {
		return nil, c.fault("dup", cerr)
	}
	if err != nil {
		return nil, c.fault("dup", err)
	}
	return os.NewFile(uintptr(fd), c.file.Name()), nil
}

// Adopt takes over a connection that another process of this user made and
// handed on as descriptor fd. Whose socket it is is asked again.
func Adopt(fd int) (*Conn, error) {
	unix.CloseOnExec(fd)
	p, err := peerOf(fd)
	if err == nil {
		err = p.check()
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "adopt", Path: "descriptor", Err: err}
	}
	return newConn(fd, "descriptor", p)
}
