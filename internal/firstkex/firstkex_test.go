package firstkex

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// observed is a connection that is read along with, in pieces of a size.
type observed struct {
	net.Conn
	o    *Observer
	size int
}

func (c *observed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), c.size)])
	if n > 0 {
		if err := c.o.Observe(p[:n]); err != nil {
			return 0, err
		}
	}
	return n, err
}

// connect logs in, and returns what was seen of it.
func connect(t *testing.T, host ssh.Signer, kex string, size int, o *Observer) (sessionID, key []byte, err error) {
	t.Helper()
	near, far := sshtest.Pipe()
	defer near.Close()
	server := &ssh.ServerConfig{NoClientAuth: true}
	server.AddHostKey(host)
	server.KeyExchanges = []string{kex}
	go func() {
		if _, chans, reqs, err := ssh.NewServerConn(far, server); err == nil {
			go ssh.DiscardRequests(reqs)
			for range chans {
			}
		}
		far.Close()
	}()
	client := &ssh.ClientConfig{HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
		if cert, ok := k.(*ssh.Certificate); ok {
			k = cert.Key
		}
		key = k.Marshal()
		return nil
	}}
	client.KeyExchanges = []string{kex}
	cc, _, _, err := ssh.NewClientConn(&observed{near, o, size}, "host", client)
	if err != nil {
		return nil, key, err
	}
	return cc.SessionID(), key, nil
}

func hostKeys(t *testing.T) map[string]ssh.Signer {
	t.Helper()
	must := func(key any) ssh.Signer {
		s, err := ssh.NewSignerFromKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed := sshtest.NewKey()
	cert := &ssh.Certificate{Key: ed.PublicKey(), CertType: ssh.HostCert, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, must(r)); err != nil {
		t.Fatal(err)
	}
	certified, err := ssh.NewCertSigner(cert, ed)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]ssh.Signer{"ed25519": ed, "rsa": must(r), "ecdsa": must(e), "certificate": certified}
}

// TestProof sees the signature of every exchange and kind of key that the library
// has, however the bytes come.
func TestProof(t *testing.T) {
	keys := hostKeys(t)
	exchanges := append(ssh.SupportedAlgorithms().KeyExchanges, ssh.InsecureAlgorithms().KeyExchanges...)
	for _, kex := range exchanges {
		for name, key := range keys {
			if name != "ed25519" && kex != "curve25519-sha256" {
				continue // the reply has the same form
			}
			for _, size := range []int{1, 7, 64 << 10} {
				o := &Observer{}
				id, bare, err := connect(t, key, kex, size, o)
				if err != nil {
					if kex == "diffie-hellman-group-exchange-sha1" || kex == "diffie-hellman-group-exchange-sha256" {
						continue // the library has no server for it; see TestProofOfGroupExchange
					}
					t.Fatalf("%s, %s: %v", kex, name, err)
				}
				p := o.Proof(id, bare)
				if p == nil || !bytes.Equal(p.HostKey, key.PublicKey().Marshal()) || !bytes.Equal(p.SessionID, id) {
					t.Errorf("%s, %s, %d bytes at a time: %+v", kex, name, size, p)
				}
				if strict, known := o.Strict(); !strict || !known {
					t.Errorf("%s: strict %v, known %v", kex, strict, known)
				}
				other := append([]byte{id[0] ^ 1}, id[1:]...)
				if o.Proof(other, bare) != nil || o.Proof(id, sshtest.NewKey().PublicKey().Marshal()) != nil || o.Proof(nil, bare) != nil {
					t.Errorf("%s: another session's, or another key's", kex)
				}
				if o.buf != nil || !o.over {
					t.Errorf("%s: it goes on observing", kex)
				}
			}
		}
	}
}

// packet puts a payload on the wire, in the clear.
func packet(payload []byte) []byte {
	padding := 8 - (5+len(payload))%8 + 4
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	b = append(append(b, byte(padding)), payload...)
	return append(b, make([]byte, padding)...)
}

// TestProofOfGroupExchange: its reply has another number, and 31 is the group.
func TestProofOfGroupExchange(t *testing.T) {
	key, id := sshtest.NewKey(), []byte("the hash of the exchange")
	sig, err := key.Sign(rand.Reader, id)
	if err != nil {
		t.Fatal(err)
	}
	group := append([]byte{31}, ssh.Marshal(struct{ P, G []byte }{[]byte{1, 2, 3}, []byte{2}})...)
	reply := append([]byte{33}, ssh.Marshal(struct{ K, F, S []byte }{key.PublicKey().Marshal(), []byte{4}, ssh.Marshal(sig)})...)
	o := &Observer{}
	for _, b := range [][]byte{[]byte("hello\r\nSSH-2.0-x\r\n"), packet([]byte{2, 0, 0, 0, 0}), packet(group), packet(reply), packet([]byte{21}), {1, 2, 3}} {
		if err := o.Observe(b); err != nil {
			t.Fatal(err)
		}
	}
	if o.Proof(id, key.PublicKey().Marshal()) == nil {
		t.Error("not seen")
	}
}

// offer is a server's KEXINIT.
func offer(kex, ciphers, macs []string) []byte {
	none := []string{"none"}
	return ssh.Marshal(kexInit{Kex: kex, HostKeys: []string{"ssh-ed25519"}, CipherOut: ciphers, CipherIn: ciphers,
		MACOut: macs, MACIn: macs, CompressOut: none, Compress: none})
}

// TestNotStrict: what can be cut at its beginning is refused before anything is
// agreed on, and offered to no such server again.
func TestNotStrict(t *testing.T) {
	const gcm, ctr, cbc = "aes128-gcm@openssh.com", "aes128-ctr", "aes128-cbc"
	const etm, mac = "hmac-sha2-256-etm@openssh.com", "hmac-sha2-256"
	for _, tt := range []struct {
		ours, macs     []string
		theirs, theirM []string
		refused        bool
		safe, safeM    []string
	}{
		{[]string{chacha, gcm}, []string{etm}, []string{gcm, chacha}, []string{etm}, true, []string{gcm}, []string{etm}},
		{[]string{gcm, chacha}, []string{etm}, []string{chacha, gcm}, []string{etm}, false, []string{gcm}, []string{etm}},
		{[]string{gcm, chacha, ctr}, []string{etm}, []string{chacha, ctr}, []string{etm}, true, []string{gcm, ctr}, []string{etm}},
		{[]string{ctr, cbc}, []string{etm, mac}, []string{cbc}, []string{etm, mac}, true, []string{ctr, cbc}, []string{mac}},
		{[]string{cbc}, []string{mac, etm}, []string{cbc}, []string{etm, mac}, false, []string{cbc}, []string{mac}},
		{[]string{ctr}, []string{etm}, []string{ctr}, []string{etm}, false, []string{ctr}, []string{etm}},
		{[]string{chacha}, []string{etm}, []string{chacha}, []string{etm}, true, []string{chacha}, []string{etm}},
		{nil, nil, []string{chacha}, nil, false, nil, nil},
	} {
		for _, mark := range []bool{false, true} {
			kex := []string{"curve25519-sha256"}
			if mark {
				kex = append(kex, strict)
			}
			o := &Observer{Ciphers: tt.ours, MACs: tt.macs}
			b := append([]byte("SSH-2.0-old\r\n"), packet(offer(kex, tt.theirs, tt.theirM))...)
			var err error
			for i := 0; i < len(b) && err == nil; i++ {
				err = o.Observe(b[i : i+1])
			}
			if want := tt.refused && !mark; errors.Is(err, ErrNotStrict) != want || !want && err != nil {
				t.Errorf("%q to %q, marked %v: %v", tt.ours, tt.theirs, mark, err)
			}
		}
		safe, macs := Safe(tt.ours, tt.macs)
		if !slices.Equal(safe, tt.safe) || !slices.Equal(macs, tt.safeM) {
			t.Errorf("of %q and %q these are safe: %q, %q", tt.ours, tt.macs, safe, macs)
		}
	}
}

// TestEndless: a server that does not come to its keys is not followed for ever.
func TestEndless(t *testing.T) {
	for name, piece := range map[string][]byte{"lines": []byte("x\n"), "a line": []byte("x"), "packets": packet(make([]byte, 1000))} {
		o := &Observer{}
		if name == "packets" {
			o.Observe([]byte("SSH-2.0-x\n"))
		}
		piece = bytes.Repeat(piece, 1+4000/len(piece))
		var err error
		for n := 0; err == nil && n < 2*maxExchange; n += len(piece) {
			err = o.Observe(piece)
		}
		if !errors.Is(err, errTooLong) || o.buf != nil {
			t.Errorf("%s: %v, %d bytes held", name, err, len(o.buf))
		}
	}
}

func FuzzObserve(f *testing.F) {
	f.Add([]byte("SSH-2.0-x\r\n"), 3)
	f.Add(append([]byte("SSH-2.0-x\n"), packet(offer([]string{strict}, nil, nil))...), 7)
	f.Add(append([]byte("x\nSSH-\n"), packet(append([]byte{31}, make([]byte, 12)...))...), 1)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		whole, pieces := &Observer{Ciphers: []string{chacha}}, &Observer{Ciphers: []string{chacha}}
		err := whole.Observe(b)
		size = max(1, size%64)
		var err2 error
		for rest := b; len(rest) > 0 && err2 == nil; {
			n := min(size, len(rest))
			err2 = pieces.Observe(rest[:n])
			rest = rest[n:]
		}
		if (err == nil) != (err2 == nil) || whole.strict != pieces.strict || len(whole.replies) != len(pieces.replies) {
			t.Errorf("in one piece %v, in several %v", err, err2)
		}
		whole.Proof([]byte("id"), []byte("key"))
	})
}

// TestBind speaks with agents that do and do not know the extension, and leaves
// what comes behind the answer unread.
func TestBind(t *testing.T) {
	p := &Proof{HostKey: []byte("key"), SessionID: []byte("id"), Signature: []byte("sig")}
	for _, tt := range []struct {
		answer string
		bound  bool
		fails  bool
	}{
		{"\x00\x00\x00\x01\x06", true, false},
		{"\x00\x00\x00\x01\x05", false, false},
		{"\x00\x00\x00\x03\x1cab", false, false},
		{"\x00\x00\x00\x00\x06", false, true},
		{"\xff\xff\xff\xff\x06", false, true},
		{"\x00\x00\x00\x02\x06", false, true},
		{"\x00\x00", false, true},
	} {
		near, far := sshtest.Pipe()
		var asked []byte
		done := make(chan struct{})
		go func() {
			defer close(done)
			b := make([]byte, 1000)
			n, _ := far.Read(b)
			asked = b[:n]
			far.Write([]byte(tt.answer))
			if !tt.fails {
				far.Write([]byte("behind"))
			}
			far.Close()
		}()
		bound, err := p.Bind(near)
		<-done
		if bound != tt.bound || (err != nil) != tt.fails {
			t.Errorf("%q: %v, %v", tt.answer, bound, err)
		}
		rest := make([]byte, 6)
		if n, _ := near.Read(rest); !tt.fails && string(rest[:n]) != "behind" {
			t.Errorf("%q: behind it %q", tt.answer, rest[:n])
		}
		near.Close()
		want := "\x00\x00\x00\x32\x1b\x00\x00\x00\x18session-bind@openssh.com\x00\x00\x00\x03key\x00\x00\x00\x02id\x00\x00\x00\x03sig\x01"
		if want := want[4:]; len(asked) < 4 || string(asked[4:]) != want || binary.BigEndian.Uint32(asked) != uint32(len(want)) {
			t.Errorf("asked %q", asked)
		}
	}
}
