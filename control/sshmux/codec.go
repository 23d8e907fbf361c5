package sshmux

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// kind is a message's number (mux.c, "Multiplex protocol").
type kind uint32

const (
	hello         kind = 0x00000001
	newSession    kind = 0x10000002
	aliveCheck    kind = 0x10000004
	terminate     kind = 0x10000005
	openForward   kind = 0x10000006
	closeForward  kind = 0x10000007
	newStdio      kind = 0x10000008
	stopListening kind = 0x10000009
	proxy         kind = 0x1000000f
	extInfo       kind = 0x20000001

	ok            kind = 0x80000001
	denied        kind = 0x80000002
	failure       kind = 0x80000003
	exitMessage   kind = 0x80000004
	alive         kind = 0x80000005
	sessionOpened kind = 0x80000006
	remotePort    kind = 0x80000007
	ttyAllocFail  kind = 0x80000008
	proxyGranted  kind = 0x8000000f
	extInfoReply  kind = 0x90000001
)

// version is the protocol's, of both sides.
const version = 4

// The types of a forward.
const (
	forwardLocal   = 1
	forwardRemote  = 2
	forwardDynamic = 3
)

// pathPort in the place of a port says that the name beside it is the path of a
// Unix socket (PORT_STREAMLOCAL, -2).
const pathPort = 0xfffffffe

// noEscape in the place of an escape character: the session has none.
const noEscape = 0xffffffff

// maxMessage is the longest message that is taken, in bytes. A master of OpenSSH
// takes 256 KiB, and so does an sshd of what such a message becomes; what is
// longer gets an answer here rather than a closed socket.
const maxMessage = 1 << 20

// maxSkipped is the longest message that is read to its end to be answered. The
// arguments and the environment of a process are at most 6 MiB in Linux.
const maxSkipped = 8 << 20

// request is a message of a client. Which fields mean something depends on the
// kind.
type request struct {
	kind kind
	id   uint32 // of all but hello
	long int    // of one that is longer than maxMessage, its length; nothing else is kept of it

	version uint32 // hello
	exts    []string

	tty, x11, agent, subsystem bool // newSession
	escape                     uint32
	term, command              string
	env                        []string

	forward uint32 // openForward, closeForward: its type
	listen  endpoint
	connect endpoint // also of newStdio
	name    string   // extInfo
}

// endpoint is an address as the protocol writes it.
type endpoint struct {
	host string
	port uint32
}

var errMessage = errors.New("a message that is cut short")

// descriptors is how many follow a message of this kind, each with a byte of its
// own.
func (k kind) descriptors() int {
	switch k {
	case newSession:
		return 3
	case newStdio:
		return 2
	}
	return 0
}

// parse takes a message apart, without the length before it. What stands behind
// the fields that are known is left unread, as mux.c does: a later client may
// have more to say.
func parse(b []byte) (*request, error) {
	d := decoder{b: b}
	r := &request{kind: kind(d.u32())}
	if r.kind == hello {
		r.version = d.u32()
		for d.err == nil && len(d.b) > 0 {
			r.exts = append(r.exts, d.str(), d.str())
		}
		return r, d.err
	}
	r.id = d.u32()
	switch r.kind {
	case newSession:
		d.str() // reserved
		r.tty, r.x11, r.agent, r.subsystem = d.flag(), d.flag(), d.flag(), d.flag()
		r.escape, r.term, r.command = d.u32(), d.str(), d.str()
		for d.err == nil && len(d.b) > 0 {
			r.env = append(r.env, d.str())
		}
	case newStdio:
		d.str() // reserved
		r.connect = d.endpoint()
	case openForward, closeForward:
		r.forward, r.listen, r.connect = d.u32(), d.endpoint(), d.endpoint()
	case extInfo:
		r.name = d.str()
	}
	return r, d.err
}

// reply is a message of the master: its kind, and numbers and texts in order.
func reply(k kind, fields ...any) []byte {
	var e encoder
	e.u32(uint32(k))
	for _, f := range fields {
		switch f := f.(type) {
		case uint32:
			e.u32(f)
		case string:
			e.str(f)
		default:
			panic(fmt.Sprintf("a field of type %T", f))
		}
	}
	return e.frame(nil)
}

// decoder reads big-endian fields. After the first one that is not whole all
// are zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n uint64) []byte {
	if d.err != nil || n > uint64(len(d.b)) {
		d.err = errMessage
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) str() string        { return string(d.take(uint64(d.u32()))) }
func (d *decoder) flag() bool         { return d.u32() != 0 }
func (d *decoder) endpoint() endpoint { return endpoint{host: d.str(), port: d.u32()} }

type encoder struct{ b []byte }

func (e *encoder) u32(v uint32) { e.b = binary.BigEndian.AppendUint32(e.b, v) }

func (e *encoder) str(s string) {
	e.u32(uint32(len(s)))
	e.b = append(e.b, s...)
}

// frame appends what was written, with its length before it.
func (e *encoder) frame(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(e.b))), e.b...)
}
