package netwatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"

	"golang.org/x/sys/unix"
)

// The little of rtnetlink(7) that is needed: messages are taken apart as far as
// somebody looks, and asked of the kernel one request at a time.

// next splits the first message off b; ok is false where none is left or what
// is left is not one.
func next(b []byte) (typ, flags uint16, body, rest []byte, ok bool) {
	if len(b) < unix.SizeofNlMsghdr {
		return 0, 0, nil, nil, false
	}
	n := uint64(binary.NativeEndian.Uint32(b))
	if n < unix.SizeofNlMsghdr || n > uint64(len(b)) {
		return 0, 0, nil, nil, false
	}
	typ, flags = binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:])
	return typ, flags, b[unix.SizeofNlMsghdr:n], b[min(align(n), uint64(len(b))):], true
}

// align is of both messages and attributes: they begin at multiples of four.
func align(n uint64) uint64 { return (n + 3) &^ 3 }

// attrs are the attributes in b, as far as they are whole.
func attrs(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofNlAttr {
			n := uint64(binary.NativeEndian.Uint16(b))
			if n < unix.SizeofNlAttr || n > uint64(len(b)) {
				return
			}
			// The two bits above the type say how it is laid out.
			if !yield(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[unix.SizeofNlAttr:n]) {
				return
			}
			b = b[min(align(n), uint64(len(b))):]
		}
	}
}

// number reads a 32-bit attribute; one of another size is zero.
func number(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

// attr is one attribute of a request.
func attr(typ uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, value...)
	return append(b, make([]byte, int(align(uint64(len(b))))-len(b))...)
}

// asker is a socket for requests. It must be closed, and serves one goroutine.
type asker struct {
	fd   int
	seq  uint32
	buf  []byte
	torn bool // a table changed while it was being dumped, since somebody set this to false
}

func newAsker() (*asker, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	// The kernel answers within the call that asks. Should something that stands
	// in for it (a sandbox) not, nobody must hang.
	tv := unix.Timeval{Sec: 2}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	// An answer to a dump is at most 32 KiB a piece.
	return &asker{fd: fd, buf: make([]byte, 64<<10)}, nil
}

func (a *asker) close() { unix.Close(a.fd) }

// dump calls each with every entry of a table; the bytes are its own only until
// it returns.
func (a *asker) dump(typ uint16, body []byte, each func(typ uint16, body []byte)) error {
	if err := a.send(typ, unix.NLM_F_DUMP, body); err != nil {
		return err
	}
	for {
		done, err := a.receive(func(typ, flags uint16, body []byte) {
			a.torn = a.torn || flags&unix.NLM_F_DUMP_INTR != 0
			each(typ, body)
		})
		if done || err != nil {
			return err
		}
	}
}

// get calls each with the one answer to a request.
func (a *asker) get(typ uint16, body []byte, each func(typ uint16, body []byte)) error {
	if err := a.send(typ, 0, body); err != nil {
		return err
	}
	_, err := a.receive(func(typ, _ uint16, body []byte) { each(typ, body) })
	return err
}

func (a *asker) send(typ, flags uint16, body []byte) error {
	a.seq++
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags|unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, a.seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	err := unix.Sendto(a.fd, append(b, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	if err != nil {
		return fmt.Errorf("netlink request %d: %w", typ, err)
	}
	return nil
}

// receive reads one datagram; done says that it ends the answer.
func (a *asker) receive(each func(typ, flags uint16, body []byte)) (done bool, err error) {
	n, _, err := unix.Recvfrom(a.fd, a.buf, 0)
	if err == unix.EINTR {
		return false, nil
	}
	if err != nil {
		return false, os.NewSyscallError("netlink answer", err)
	}
	rest := a.buf[:n]
	for len(rest) > 0 {
		var typ, flags uint16
		var body []byte
		var ok bool
		if typ, flags, body, rest, ok = next(rest); !ok {
			return false, errors.New("netlink answer: not understood")
		}
		switch typ {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			if len(body) >= 4 {
				if no := int32(binary.NativeEndian.Uint32(body)); no != 0 {
					return true, os.NewSyscallError("netlink answer", unix.Errno(-no))
				}
			}
			return true, nil
		default:
			each(typ, flags, body)
		}
	}
	return false, nil
}
