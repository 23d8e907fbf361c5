package sshtest

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Rogue is the server's end of an SSH connection each of whose packets the test
// chooses. It is a transport of its own (RFC 4253, RFC 5647: curve25519-sha256,
// ssh-ed25519, aes128-gcm) because that of x/crypto sends nothing that is wrong.
//
// Reads are one goroutine's, and so is the handshake; packets may be written from
// any. An error of either says that the client went.
type Rogue struct {
	Conn net.Conn
	Key  *Key
	// Extra goes into the list of key exchange methods; "kex-strict-s-v00@openssh.com"
	// unless it is set.
	Extra string

	in        *bufio.Reader
	sessionID []byte
	versions  [2]string // the client's and ours
	opened    *gcm      // owned by the reader; nil before the first key exchange
	pending   *gcm      // owned by the reader; replaces opened at the client's NEWKEYS

	mu     sync.Mutex
	sealed *gcm // guarded by mu
}

// Numbers of messages (RFC 4250 section 4.1.2).
const (
	MsgDisconnect   = 1
	MsgIgnore       = 2
	MsgKexInit      = 20
	MsgNewKeys      = 21
	MsgECDHInit     = 30
	MsgECDHReply    = 31
	MsgUserauth     = 50
	MsgFailure      = 51
	MsgLoggedIn     = 52
	MsgBanner       = 53
	MsgInfoRequest  = 60
	MsgGlobal       = 80
	MsgGlobalDone   = 81
	MsgGlobalFailed = 82
	MsgOpen         = 90
	MsgConfirm      = 91
	MsgOpenFailed   = 92
	MsgAdjust       = 93
	MsgData         = 94
	MsgExtended     = 95
	MsgEOF          = 96
	MsgClose        = 97
	MsgRequest      = 98
	MsgSuccess      = 99
	MsgRefused      = 100
	MsgPing         = 192
)

// NewRogue returns the server's end on conn; it has said nothing yet.
func NewRogue(conn net.Conn, key *Key) *Rogue {
	return &Rogue{Conn: conn, Key: key, Extra: "kex-strict-s-v00@openssh.com", in: bufio.NewReader(conn)}
}

// Versions exchanges the identification strings; mine is without its line's end.
func (r *Rogue) Versions(mine string) error {
	if _, err := io.WriteString(r.Conn, mine+"\r\n"); err != nil {
		return err
	}
	line, err := r.in.ReadString('\n')
	r.versions = [2]string{strings.TrimRight(line, "\r\n"), mine}
	return err
}

// Packet makes a message of a number and its fields: a string or bytes with their
// length, uint32, bool and byte as they are, Raw without a length.
func Packet(number byte, fields ...any) []byte {
	b := []byte{number}
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
		case []byte:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
		case Raw:
			b = append(b, f...)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, f)
		case byte:
			b = append(b, f)
		case bool:
			b = append(b, 0)
			if f {
				b[len(b)-1] = 1
			}
		default:
			panic(fmt.Sprintf("sshtest: no field of a packet: %T", f))
		}
	}
	return b
}

// Raw are bytes of a packet that have no length before them.
type Raw []byte

// KexInit is our proposal. Methods before the first come from algorithms, by
// their place in the message (RFC 4253 section 7.1); an empty one is ours.
func (r *Rogue) KexInit(algorithms ...string) []byte {
	lists := []string{"curve25519-sha256," + r.Extra, "ssh-ed25519", gcmName, gcmName, "hmac-sha2-256", "hmac-sha2-256", "none", "none", "", ""}
	for i, a := range algorithms {
		if a != "" {
			lists[i] = a
		}
	}
	fields := []any{Raw(make([]byte, 16))}
	for _, l := range lists {
		fields = append(fields, l)
	}
	return Packet(MsgKexInit, append(fields, false, uint32(0))...)
}

// Exchange is a key exchange that the server begins, the first or a further one;
// what else the client sends meanwhile goes to other, where that is not nil.
func (r *Rogue) Exchange(other func([]byte)) error {
	mine := r.KexInit()
	if err := r.Write(mine); err != nil {
		return err
	}
	var theirs []byte
	for theirs == nil {
		p, err := r.Read()
		switch {
		case err != nil:
			return err
		case p[0] == MsgKexInit:
			theirs = p
		case other != nil:
			other(p)
		}
	}
	return r.agree(theirs, mine)
}

// agree is the rest of a key exchange, after both proposals.
func (r *Rogue) agree(theirs, mine []byte) error {
	p, err := r.Read()
	if err != nil {
		return err
	}
	var init struct {
		Public []byte `sshtype:"30"`
	}
	if err := ssh.Unmarshal(p, &init); err != nil {
		return err
	}
	public, k, err := curve(init.Public)
	if err != nil {
		return err
	}
	blob := r.Key.PublicKey().Marshal()
	h := sha256.Sum256(Packet(0, r.versions[0], r.versions[1], theirs, mine, blob, init.Public, public, Raw(k))[1:])
	signature := Packet(0, ssh.KeyAlgoED25519, ed25519.Sign(r.Key.Private, h[:]))[1:]
	if err := r.Write(Packet(MsgECDHReply, blob, public, signature)); err != nil {
		return err
	}
	if r.sessionID == nil {
		r.sessionID = h[:]
	}
	r.pending = r.keys(k, h[:], 'A', 'C')
	return r.newKeys(r.keys(k, h[:], 'B', 'D'))
}

// newKeys tells that what follows has new keys, and reads until the client said
// the same.
func (r *Rogue) newKeys(g *gcm) error {
	r.mu.Lock()
	err := r.writeLocked([]byte{MsgNewKeys})
	r.sealed = g
	r.mu.Unlock()
	for err == nil && r.pending != nil {
		_, err = r.Read()
	}
	return err
}

// curve makes our half of curve25519 and the shared secret as an mpint.
func curve(theirs []byte) (mine, secret []byte, err error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	public, err := ecdh.X25519().NewPublicKey(theirs)
	if err != nil {
		return nil, nil, err
	}
	shared, err := private.ECDH(public)
	if err != nil {
		return nil, nil, err
	}
	k := ssh.Marshal(struct{ K *big.Int }{new(big.Int).SetBytes(shared)})
	return private.PublicKey().Bytes(), k, nil
}

// Read returns the next packet of the client's without its padding.
func (r *Rogue) Read() ([]byte, error) {
	p, err := r.readPacket()
	if err != nil {
		return nil, err
	}
	if len(p) == 0 {
		return nil, errors.New("the client sent an empty packet")
	}
	if p[0] == MsgNewKeys && r.pending != nil {
		r.opened, r.pending = r.pending, nil
	}
	return p, nil
}

func (r *Rogue) readPacket() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > 1<<20 {
		return nil, fmt.Errorf("the client sent a packet of %d bytes", n)
	}
	if r.opened != nil {
		n += gcmTag
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil, err
	}
	if r.opened != nil {
		var err error
		if b, err = r.opened.open(head[:], b); err != nil {
			return nil, err
		}
	}
	if len(b) == 0 || int(b[0]) > len(b)-1 {
		return nil, errors.New("the client sent padding longer than the packet")
	}
	return b[1 : len(b)-int(b[0])], nil
}

// Write sends one packet, as it is.
func (r *Rogue) Write(payload []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writeLocked(payload)
}

func (r *Rogue) writeLocked(payload []byte) error {
	block, covered := 8, 5 // of what the padding fills up, and before the payload (RFC 5647 section 7.2)
	if r.sealed != nil {
		block, covered = aes.BlockSize, 1
	}
	padding := block - (covered+len(payload))%block
	if padding < 4 {
		padding += block
	}
	b := append(make([]byte, 0, 5+len(payload)+padding+gcmTag), 0, 0, 0, 0, byte(padding))
	binary.BigEndian.PutUint32(b, uint32(1+len(payload)+padding))
	b = append(append(b, payload...), make([]byte, padding)...)
	if r.sealed != nil {
		b = r.sealed.seal(b)
	}
	_, err := r.Conn.Write(b)
	return err
}

// Close ends the connection.
func (r *Rogue) Close() { r.Conn.Close() }

const (
	gcmName = "aes128-gcm@openssh.com"
	gcmTag  = 16
)

// gcm is one direction's cipher (RFC 5647), with OpenSSH's name and its rule that
// the MAC is not negotiated.
type gcm struct {
	aead cipher.AEAD
	iv   []byte
}

// keys derives a direction's cipher (RFC 4253 section 7.2).
func (r *Rogue) keys(k, h []byte, iv, key byte) *gcm {
	derive := func(tag byte, n int) []byte {
		d := sha256.Sum256(append(append(append(append([]byte{}, k...), h...), tag), r.sessionID...))
		return d[:n]
	}
	block, err := aes.NewCipher(derive(key, 16))
	if err != nil {
		panic("sshtest: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("sshtest: " + err.Error())
	}
	return &gcm{aead, derive(iv, 12)}
}

func (g *gcm) next() {
	binary.BigEndian.PutUint64(g.iv[4:], binary.BigEndian.Uint64(g.iv[4:])+1)
}

// seal encrypts a packet in place, but for its length.
func (g *gcm) seal(b []byte) []byte {
	defer g.next()
	return append(b[:4], g.aead.Seal(nil, g.iv, b[4:], b[:4])...)
}

func (g *gcm) open(head, b []byte) ([]byte, error) {
	defer g.next()
	return g.aead.Open(b[:0], g.iv, b, head)
}
