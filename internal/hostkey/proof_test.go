package hostkey

import (
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

func wireString(s string) []byte { return ssh.Marshal(struct{ S string }{s}) }

// proof is a signature over a key in the connection "session".
func proof(t *testing.T, s ssh.Signer, request string, key ssh.PublicKey) []byte {
	t.Helper()
	data := append(wireString(request), append(wireString("session"), wireString(string(key.Marshal()))...)...)
	sig, err := s.Sign(rand.Reader, data)
	if err != nil {
		t.Fatal(err)
	}
	return ssh.Marshal(sig)
}

func TestVerifyProof(t *testing.T) {
	k, other := sshtest.NewKey(), sshtest.NewKey()
	key, session := k.PublicKey(), []byte("session")
	if err := verifyProof(key, session, proof(t, k, proveRequest, key)); err != nil {
		t.Error(err)
	}
	for name, sig := range map[string][]byte{
		"another key": proof(t, other, proveRequest, key), "another request": proof(t, k, Announcement, key),
		"garbage": []byte("garbage"), "empty": nil, "a tail": append(proof(t, k, proveRequest, key), 1),
	} {
		if err := verifyProof(key, session, sig); err == nil || errors.Is(err, errWeakProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verifyProof(key, []byte("another"), proof(t, k, proveRequest, key)); err == nil {
		t.Error("a proof of another connection")
	}
}

// asked is a connection whose one request is answered by answer.
type asked struct {
	ssh.Conn
	answer func() (bool, []byte, error)
}

func (c *asked) SessionID() []byte { return []byte("session") }

func (c *asked) SendRequest(string, bool, []byte) (bool, []byte, error) { return c.answer() }

// What is told of a proof, and when: that it is under way, and that it was not
// answered, before the request; the latter is taken back by any answer, and
// stays where the connection ended instead.
func TestWhatIsToldOfAProof(t *testing.T) {
	known, k := sshtest.NewKey(), sshtest.NewKey()
	good := append([]byte(nil), wireString(string(proof(t, k, proveRequest, k.PublicKey())))...)
	for _, tt := range []struct {
		name   string
		ok     bool
		answer []byte
		err    error
		want   []string
		after  bool // the key is learned
	}{
		{"proven", true, good, nil, []string{"proving", "unproven", "request", "not proving", "not unproven"}, true},
		{"refused", false, nil, nil, []string{"proving", "unproven", "request", "not proving", "not unproven"}, false},
		{"garbage", true, []byte("x"), nil, []string{"proving", "unproven", "request", "not proving", "not unproven"}, false},
		{"lost", false, nil, io.EOF, []string{"proving", "unproven", "request", "not proving"}, false},
	} {
		r := newRig(t)
		r.know(known.PublicKey())
		c := r.check(says(), "-o", "UpdateHostKeys=yes", "host")
		if err := c.meet(known.PublicKey()); err != nil {
			t.Fatal(err)
		}
		u := c.Updates()
		if u == nil {
			t.Fatal("nothing is learned")
		}
		var told []string
		tell := func(what string) func(bool) {
			return func(v bool) {
				if !v {
					told = append(told, "not "+what)
				} else {
					told = append(told, what)
				}
			}
		}
		u.Proving, u.Unproven = tell("proving"), tell("unproven")
		conn := &asked{answer: func() (bool, []byte, error) {
			told = append(told, "request")
			return tt.ok, tt.answer, tt.err
		}}
		err := u.Learn(conn, append(wireString(string(known.PublicKey().Marshal())), wireString(string(k.PublicKey().Marshal()))...))
		if (err == nil) != tt.after || tt.err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !slices.Equal(told, tt.want) {
			t.Errorf("%s: told %q", tt.name, told)
		}
		want := "host " + authorized(known.PublicKey())
		if tt.after {
			want += "host " + authorized(k.PublicKey())
		}
		if got := r.remembered(); got != want {
			t.Errorf("%s: known_hosts\n%s\nwant\n%s", tt.name, got, want)
		}
	}
}
