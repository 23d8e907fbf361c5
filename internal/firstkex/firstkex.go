// Package firstkex reads along with the first key exchange of an SSH connection,
// whose packets are in the clear, for two things that the SSH library does not
// tell: what the server offered, before anything is agreed on, and the signature
// with which it proved its host key. It changes no byte, knows no secret, and
// believes nothing: a signature counts only once it was verified.
package firstkex

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	msgDisconnect = 1
	msgKexInit    = 20
	msgNewKeys    = 21
	// Replies of the key exchanges with a signature, whose number depends on the
	// method (RFC 4253 section 8, RFC 4419 section 3, RFC 5656 section 4).
	msgKexReply    = 31
	msgKexGexReply = 33

	// maxPacket is what the SSH library takes as a packet at most.
	maxPacket = 256 << 10
	// maxExchange bounds what a server may send before its keys are in use. An
	// exchange with the largest keys and certificates has some 10 KiB.
	maxExchange = 512 << 10
	// maxReplies is how many packets may look like a reply. There is one, and
	// before it one of a wrong guess.
	maxReplies = 4
)

// strict is how a server says that it counts packets from the new keys on, and
// takes none that does not belong into the first exchange (PROTOCOL of OpenSSH,
// section 1.10).
const strict = "kex-strict-s-v00@openssh.com"

// ErrNotStrict refuses a server with which packets could be cut out of the
// beginning of the connection (Terrapin, CVE-2023-48795). Another connection,
// for which Unsafe algorithms are not offered, is fine.
var ErrNotStrict = errors.New("the server has no strict key exchange for the ciphers that would be used")

// errTooLong ends an exchange that cannot be followed: nobody knows what it is.
var errTooLong = errors.New("the server's key exchange is longer than any")

// Observer follows one exchange. Its fields and Observe are for the goroutine
// that reads the connection, the other methods for who knows that the exchange
// is over, as the SSH library's callbacks do.
type Observer struct {
	// Ciphers and MACs are what the client offers, in its order. Without them
	// nothing is refused.
	Ciphers, MACs []string

	buf     []byte // what is left of a line or a packet
	seen    int    // bytes
	packets bool   // the version is over
	over    bool   // what follows is encrypted, or nothing follows
	keys    [2]int // where NEWKEYS begins and ends, in bytes from the first one on
	offered bool   // KEXINIT was seen
	strict  bool   // and has the mark
	replies []reply
}

// reply is a packet that may be the server's proof.
type reply struct{ key, signature []byte }

// Observe takes what was read, before anybody acts on it. An error says that
// nobody must. A nil Observer looks at nothing.
func (o *Observer) Observe(b []byte) error {
	if o == nil || o.over {
		return nil
	}
	if o.seen += len(b); o.seen-len(b) > maxExchange {
		o.end()
		return errTooLong
	}
	o.buf = append(o.buf, b...)
	for !o.over {
		more, err := o.step()
		if err != nil {
			o.end()
			return err
		}
		if !more {
			break
		}
	}
	return nil
}

// end gives back what is held for nothing more to come.
func (o *Observer) end() { o.over, o.buf = true, nil }

// step takes one line or packet, if it is there in full.
func (o *Observer) step() (more bool, err error) {
	if !o.packets {
		line, rest, found := bytes.Cut(o.buf, []byte("\n"))
		if found {
			o.buf, o.packets = rest, bytes.HasPrefix(line, []byte("SSH-"))
		}
		return found, nil
	}
	if len(o.buf) < 5 {
		return false, nil
	}
	length, padding := binary.BigEndian.Uint32(o.buf), uint32(o.buf[4])
	if length > maxPacket || length < padding+2 {
		o.end() // no packet: the library ends the connection
		return false, nil
	}
	if uint32(len(o.buf)-4) < length {
		return false, nil
	}
	payload := o.buf[5 : 4+length-padding]
	o.buf = o.buf[4+length:]
	if payload[0] == msgNewKeys {
		end := o.seen - len(o.buf)
		o.keys = [2]int{end - int(4+length), end}
	}
	return true, o.packet(payload)
}

func (o *Observer) packet(p []byte) error {
	switch p[0] {
	case msgKexInit:
		if o.offered {
			return nil
		}
		return o.offer(p)
	case msgKexReply, msgKexGexReply:
		o.reply(p[1:])
	case msgNewKeys, msgDisconnect:
		o.end()
	}
	return nil
}

// kexInit is SSH_MSG_KEXINIT (RFC 4253 section 7.1).
type kexInit struct {
	Cookie                [16]byte `sshtype:"20"`
	Kex, HostKeys         []string
	CipherOut, CipherIn   []string
	MACOut, MACIn         []string
	CompressOut, Compress []string
	LanguageOut, Language []string
	Follows               bool
	Reserved              uint32
}

func (o *Observer) offer(p []byte) error {
	var k kexInit
	if ssh.Unmarshal(p, &k) != nil {
		o.end() // the library says what is wrong with it
		return nil
	}
	o.offered, o.strict = true, slices.Contains(k.Kex, strict)
	if !o.strict && (o.exposed(k.CipherOut, k.MACOut) || o.exposed(k.CipherIn, k.MACIn)) {
		return ErrNotStrict
	}
	return nil
}

// exposed reports whether what would be agreed on for one direction lets packets
// be cut out unnoticed.
func (o *Observer) exposed(ciphers, macs []string) bool {
	cipher := agreed(o.Ciphers, ciphers)
	return cipher == chacha || isCBC(cipher) && isEtM(agreed(o.MACs, macs))
}

// agreed is the first of ours that they have, too (RFC 4253 section 7.1).
func agreed(ours, theirs []string) string {
	i := slices.IndexFunc(ours, func(s string) bool { return slices.Contains(theirs, s) })
	if i < 0 {
		return ""
	}
	return ours[i]
}

const chacha = "chacha20-poly1305@openssh.com"

func isCBC(cipher string) bool { return strings.HasSuffix(cipher, "-cbc") }
func isEtM(mac string) bool    { return strings.HasSuffix(mac, "-etm@openssh.com") }

// Safe is what of ciphers and MACs may be offered to a server without strict key
// exchange. Where that is no cipher, what was given: somebody wants it so.
func Safe(ciphers, macs []string) (safeCiphers, safeMACs []string) {
	cbc := false
	left := slices.DeleteFunc(slices.Clone(ciphers), func(s string) bool { return s == chacha })
	for _, c := range left {
		cbc = cbc || isCBC(c)
	}
	if cbc {
		safeMACs = slices.DeleteFunc(slices.Clone(macs), isEtM)
	} else {
		safeMACs = macs
	}
	if len(left) == 0 || len(safeMACs) == 0 {
		return ciphers, macs
	}
	return left, safeMACs
}

// Keys tells where among all bytes that were observed the server's NEWKEYS begins
// and ends: what follows is encrypted. Over says that there will be no other
// answer; without keys the exchange has failed, or nobody looked.
func (o *Observer) Keys() (begin, end int, over bool) {
	if o == nil {
		return 0, 0, true
	}
	return o.keys[0], o.keys[1], o.over
}

// Strict reports a server that said so, and known whether it said anything.
func (o *Observer) Strict() (strict, known bool) { return o.strict, o.offered }

func (o *Observer) reply(p []byte) {
	var r struct {
		Key       []byte
		Ephemeral []byte
		Signature []byte
	}
	if len(o.replies) < maxReplies && ssh.Unmarshal(p, &r) == nil {
		o.replies = append(o.replies, reply{bytes.Clone(r.Key), bytes.Clone(r.Signature)})
	}
}

// Proof is how a server proved its host key: by a signature of the exchange
// hash, which is the session's identifier (RFC 4253 section 7.2).
type Proof struct {
	HostKey   []byte // as the server presented it, a certificate where it has one
	SessionID []byte
	Signature []byte // in wire form
}

// Proof is that of the session, by the key in wire form, without its certificate.
// Nil where none was seen that holds.
func (o *Observer) Proof(sessionID, hostKey []byte) *Proof {
	for _, r := range o.replies {
		pub, err := ssh.ParsePublicKey(r.key)
		if err != nil {
			continue
		}
		bare := pub
		if cert, ok := pub.(*ssh.Certificate); ok {
			bare = cert.Key
		}
		var sig ssh.Signature
		if !bytes.Equal(bare.Marshal(), hostKey) || ssh.Unmarshal(r.signature, &sig) != nil || bare.Verify(sessionID, &sig) != nil {
			continue
		}
		return &Proof{HostKey: r.key, SessionID: bytes.Clone(sessionID), Signature: r.signature}
	}
	return nil
}
