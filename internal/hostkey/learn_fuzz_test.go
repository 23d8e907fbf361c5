package hostkey

import (
	"crypto/rand"
	"io"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// FuzzLearn has a server that was accepted announce anything and answer anything
// to the question for a proof. No key of it is learned that it did not prove, and
// the key by which it is known is forgotten only where its own list is in order.
func FuzzLearn(f *testing.F) {
	k, other := sshtest.SameKey(1), sshtest.SameKey(2)
	known := wireString(string(k.PublicKey().Marshal()))
	further := wireString(string(other.PublicKey().Marshal()))
	data := append(wireString(proveRequest), append(wireString("session"), further...)...)
	sig, err := other.Sign(rand.Reader, data)
	if err != nil {
		f.Fatal(err)
	}
	good := wireString(string(ssh.Marshal(sig)))
	for _, announced := range [][]byte{nil, known, append(known, further...), append(known, known...), further, known[:9], []byte("\xff\xff\xff\xff")} {
		f.Add(announced, good, true)
		f.Add(announced, []byte("garbage"), true)
		f.Add(announced, []byte{}, false)
	}
	f.Fuzz(func(t *testing.T, announced, answer []byte, ok bool) {
		r := newRig(t)
		r.know(k.PublicKey())
		c := r.check(says(), "-o", "UpdateHostKeys=yes", "host")
		if err := c.meet(k.PublicKey()); err != nil {
			t.Fatal(err)
		}
		u := c.Updates()
		err := u.Learn(&asked{answer: func() (bool, []byte, error) {
			if !ok && len(answer) == 0 {
				return false, nil, io.EOF
			}
			return ok, answer, nil
		}}, announced)
		before, after := "host "+authorized(k.PublicKey()), r.remembered()
		if err != nil && after != before {
			t.Errorf("%v, and known_hosts became %q", err, after)
		}
		proven := ok && string(answer) == string(good)
		for line := range strings.Lines(strings.Replace(after, before, "", 1)) {
			if !proven || line != "host "+authorized(other.PublicKey()) {
				t.Errorf("learned %q", line)
			}
		}
	})
}
