package master

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

const (
	gcm128 = "aes128-gcm@openssh.com"
	chacha = "chacha20-poly1305@openssh.com"
)

// oldServer is an SSH server without strict key exchange, of which the library has
// none: it lets everybody in by AES-GCM, and opens no channel.
type oldServer struct {
	key     *sshtest.Key
	ciphers []string

	mu      sync.Mutex
	offered [][]string // guarded by mu; by the client of each connection; nil where it left before
	logins  int        // guarded by mu
}

func (o *oldServer) dial(context.Context, string, string) (net.Conn, error) {
	near, far := sshtest.Pipe()
	go func() {
		defer far.Close()
		o.serve(far)
	}()
	return near, nil
}

func (o *oldServer) seen() (offered [][]string, logins int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.offered), o.logins
}

// oldKexInit is SSH_MSG_KEXINIT.
type oldKexInit struct {
	Cookie                                          [16]byte `sshtype:"20"`
	Kex, Host, Out, In, MACOut, MACIn, ZO, ZI, L, M []string
	Follows                                         bool
	Reserved                                        uint32
}

// plainPacket is a payload in the clear.
func plainPacket(payload []byte) []byte {
	padding := 16 - (5+len(payload))%16 + 8
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	return append(append(append(b, byte(padding)), payload...), make([]byte, padding)...)
}

func readPlain(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > 35000 {
		return nil, fmt.Errorf("a packet of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return b[1 : len(b)-int(b[0])], nil
}

// oldGCM is one direction of AES-GCM (RFC 5647).
type oldGCM struct {
	aead  cipher.AEAD
	nonce []byte
}

func newOldGCM(key, iv []byte) *oldGCM {
	block, _ := aes.NewCipher(key)
	aead, _ := cipher.NewGCM(block)
	return &oldGCM{aead, iv}
}

func (g *oldGCM) next() []byte {
	now := slices.Clone(g.nonce)
	binary.BigEndian.PutUint64(g.nonce[4:], binary.BigEndian.Uint64(g.nonce[4:])+1)
	return now
}

func (g *oldGCM) seal(payload []byte) []byte {
	padding := 16 - (1+len(payload))%16 + 16
	b := append(append([]byte{byte(padding)}, payload...), make([]byte, padding)...)
	head := binary.BigEndian.AppendUint32(nil, uint32(len(b)))
	return g.aead.Seal(head, g.next(), b, head)
}

func (g *oldGCM) open(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if n > 35000 { // another cipher's
		return nil, fmt.Errorf("a packet of %d bytes", n)
	}
	b := make([]byte, n+16)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	b, err := g.aead.Open(nil, g.next(), b, head)
	if err != nil {
		return nil, err
	}
	return b[1 : len(b)-int(b[0])], nil
}

func (o *oldServer) serve(c net.Conn) error {
	o.mu.Lock()
	o.offered = append(o.offered, nil)
	number := len(o.offered) - 1
	o.mu.Unlock()
	const version = "SSH-2.0-old"
	io.WriteString(c, version+"\r\n")
	var line []byte
	for b := make([]byte, 1); !bytes.HasSuffix(line, []byte("\r\n")); line = append(line, b...) {
		if _, err := c.Read(b); err != nil {
			return err
		}
	}
	macs, none := []string{"hmac-sha2-256"}, []string{"none"}
	ours := ssh.Marshal(oldKexInit{Kex: []string{"curve25519-sha256"}, Host: []string{"ssh-ed25519"}, Out: o.ciphers, In: o.ciphers,
		MACOut: macs, MACIn: macs, ZO: none, ZI: none})
	c.Write(plainPacket(ours))
	theirs, err := readPlain(c)
	if err != nil {
		return err
	}
	var k oldKexInit
	if err := ssh.Unmarshal(theirs, &k); err != nil {
		return err
	}
	o.mu.Lock()
	o.offered[number] = k.Out
	o.mu.Unlock()
	init, err := readPlain(c)
	if err != nil {
		return err
	}
	in, out, err := o.exchange(c, line[:len(line)-2], []byte(version), theirs, ours, init)
	if err != nil {
		return err
	}
	return o.session(c, in, out)
}

// exchange is curve25519-sha256 (RFC 8731), and what comes of it.
func (o *oldServer) exchange(c net.Conn, clientVersion, version, theirs, ours, init []byte) (in, out *oldGCM, err error) {
	var client struct {
		Public []byte `sshtype:"30"`
	}
	if err := ssh.Unmarshal(init, &client); err != nil {
		return nil, nil, err
	}
	own, _ := ecdh.X25519().GenerateKey(rand.Reader)
	public, err := ecdh.X25519().NewPublicKey(client.Public)
	if err != nil {
		return nil, nil, err
	}
	shared, err := own.ECDH(public)
	if err != nil {
		return nil, nil, err
	}
	shared = bytes.TrimLeft(shared, "\x00")
	if shared[0] >= 0x80 {
		shared = append([]byte{0}, shared...)
	}
	host := o.key.PublicKey().Marshal()
	h := sha256.Sum256(ssh.Marshal(struct{ A, B, C, D, E, F, G, K []byte }{clientVersion, version, theirs, ours, host,
		client.Public, own.PublicKey().Bytes(), shared}))
	sig, err := o.key.Sign(rand.Reader, h[:])
	if err != nil {
		return nil, nil, err
	}
	c.Write(plainPacket(ssh.Marshal(struct {
		Host   []byte `sshtype:"31"`
		Public []byte
		Sig    []byte
	}{host, own.PublicKey().Bytes(), ssh.Marshal(sig)})))
	c.Write(plainPacket([]byte{21}))
	if p, err := readPlain(c); err != nil || p[0] != 21 {
		return nil, nil, fmt.Errorf("new keys: %v, %v", p, err)
	}
	derive := func(letter byte, n int) []byte {
		d := sha256.Sum256(slices.Concat(ssh.Marshal(struct{ K []byte }{shared}), h[:], []byte{letter}, h[:]))
		return d[:n]
	}
	return newOldGCM(derive('C', 16), derive('A', 12)), newOldGCM(derive('D', 16), derive('B', 12)), nil
}

// session lets in, and refuses channels and requests.
func (o *oldServer) session(c net.Conn, in, out *oldGCM) error {
	for {
		p, err := in.open(c)
		if err != nil {
			return err
		}
		var answer []byte
		switch p[0] {
		case 5: // service request
			answer = append([]byte{6}, p[1:]...)
		case 50: // userauth request
			answer = []byte{52}
			o.mu.Lock()
			o.logins++
			o.mu.Unlock()
		case 90: // channel open: not here
			var open struct {
				Kind string `sshtype:"90"`
				ID   uint32
				Rest []byte `ssh:"rest"`
			}
			ssh.Unmarshal(p, &open)
			answer = ssh.Marshal(struct {
				ID, Reason     uint32 `sshtype:"92"`
				Text, Language string
			}{open.ID, 1, "not here", ""})
		}
		if answer != nil {
			c.Write(out.seal(answer))
		}
	}
}

// TestTerrapin: a server without strict key exchange is offered nothing whose
// beginning could be cut, and that before it has proved its key or asked for
// anything; what is left is used, without a word.
func TestTerrapin(t *testing.T) {
	for _, tt := range []struct {
		name, ciphers string   // of the client
		server        []string // of the server
		dials         int
		offered       bool // chacha20, on the last of them
		login         bool
		want          string
	}{
		{"ours first", chacha + "," + gcm128, []string{gcm128, chacha}, 2, false, true, ""},
		{"nothing to fear", gcm128 + "," + chacha, []string{chacha, gcm128}, 1, true, true, ""},
		{"nothing else", chacha + "," + gcm128, []string{chacha}, 2, false, false, "no strict key exchange, without which chacha20-poly1305"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				o := &oldServer{key: sshtest.NewKey(), ciphers: tt.server}
				r.know(o.key.PublicKey())
				r.through(o.dial)
				p := &person{}
				_, err := r.ask(t.Context(), p, "-o", "Ciphers="+tt.ciphers, "host", "true")
				offered, logins := o.seen()
				if tt.login {
					wantError(t, err, control.Refused, "the server refused a session: not here")
				} else {
					wantError(t, err, control.Refused, tt.want)
				}
				if (logins > 0) != tt.login {
					t.Errorf("%d logins", logins)
				}
				if p.Told() != "" {
					t.Errorf("told %q", p.Told())
				}
				if last := offered[len(offered)-1]; len(offered) != tt.dials || last == nil && tt.login || slices.Contains(last, chacha) != tt.offered {
					t.Errorf("offered %q", offered)
				}
				if !tt.login {
					return
				}
				// It is remembered while muxd knows the host, until the server has it.
				r.hangUp()
				r.ask(t.Context(), p, "-o", "Ciphers="+tt.ciphers, "host", "true")
				if again, _ := o.seen(); len(again) != len(offered)+1 {
					t.Errorf("another login took %d connections", len(again)-len(offered))
				}
				r.hangUp()
				r.through(nil)
				r.know(r.srv.HostKey())
				r.run("-o", "Ciphers="+tt.ciphers, "host", "true")
				if r.host().lax.Load() {
					t.Error("a server that has it is still not trusted")
				}
			})
		})
	}
}

// TestTerrapinAsConfigured: who wants nothing else gets it, as from ssh.
func TestTerrapinAsConfigured(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		o := &oldServer{key: sshtest.NewKey(), ciphers: []string{chacha}}
		r.know(o.key.PublicKey())
		r.through(o.dial)
		r.ask(t.Context(), nil, "-o", "Ciphers="+chacha, "host", "true")
		if offered, _ := o.seen(); len(offered) != 1 || !slices.Equal(offered[0], []string{chacha}) {
			t.Errorf("offered %q", offered)
		}
	})
}

// tampered is a connection whose server's first packets an attacker changes: he
// puts one that means nothing before the new keys, and then may take one away.
type tampered struct {
	net.Conn
	insert, remove bool
	pending        bytes.Buffer // what was decided on
	in             bytes.Buffer // of the server, whole packets being waited for
	version, keys  bool
	encrypted      int // packets since
}

func (c *tampered) Read(p []byte) (int, error) {
	for c.pending.Len() == 0 {
		b := make([]byte, 4096)
		n, err := c.Conn.Read(b)
		if err != nil {
			return 0, err
		}
		c.in.Write(b[:n])
		c.tamper()
	}
	return c.pending.Read(p)
}

func (c *tampered) tamper() {
	for {
		b := c.in.Bytes()
		if !c.version {
			i := bytes.IndexByte(b, '\n')
			if i < 0 {
				return
			}
			c.version = true
			c.pending.Write(c.in.Next(i + 1))
			continue
		}
		if c.keys && c.remove && c.encrypted == 0 {
			// By the length, which chacha20 hides and GCM does not; of the first
			// packet after the keys it is known here.
			n := removed(b)
			if n == 0 {
				return
			}
			c.in.Next(n)
			c.encrypted++
			continue
		}
		if c.keys {
			c.pending.Write(c.in.Next(len(b)))
			return
		}
		if len(b) < 6 || len(b) < int(binary.BigEndian.Uint32(b))+4 {
			return
		}
		packet := bytes.Clone(c.in.Next(int(binary.BigEndian.Uint32(b)) + 4))
		if c.keys = packet[5] == 21; c.keys && c.insert {
			c.pending.Write(plainPacket([]byte{2, 0, 0, 0, 0}))
		}
		c.pending.Write(packet)
	}
}

// removed is the size of the first packet in b, 0 while it is not there in full.
func removed(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	n := int(binary.BigEndian.Uint32(b)) + 4 + 16
	if len(b) < n {
		return 0
	}
	return n
}

// TestTamperedBeginning: a packet that is put into the exchange, or one that is
// taken away behind it, ends the login; with the strict key exchange of a new
// server, and with the cipher that is left to an old one.
func TestTamperedBeginning(t *testing.T) {
	for _, tt := range []struct {
		old, insert, remove, fails bool
	}{
		{false, false, false, false}, {false, true, false, true}, {false, true, true, true}, {false, false, true, true},
		{true, false, false, false}, {true, true, true, true}, {true, false, true, true},
	} {
		inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
			o := &oldServer{key: sshtest.NewKey(), ciphers: []string{gcm128, chacha}}
			dial := r.srv.DialContext
			if tt.old {
				r.know(o.key.PublicKey())
				dial = o.dial
			}
			r.through(func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial(ctx, network, addr)
				return &tampered{Conn: c, insert: tt.insert, remove: tt.remove}, err
			})
			r.ask(t.Context(), nil, "-o", "Ciphers="+gcm128+","+chacha, "host", "true")
			if failed := r.host().logins == 0; failed != tt.fails {
				t.Errorf("%+v: failed %v", tt, failed)
			}
		})
	}
}
