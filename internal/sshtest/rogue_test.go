package sshtest

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"
)

// What is wrong in a test must be what the test sends: without that, x/crypto
// takes the Rogue for a server like any other.
func TestRogueIsAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe()
		key := NewKey()
		went := make(chan error, 1)
		go func() {
			r := NewRogue(server, key)
			went <- serveOne(r)
			r.Drain()
		}()
		conn, chans, reqs, err := ssh.NewClientConn(client, "host:22", &ssh.ClientConfig{HostKeyCallback: ssh.FixedHostKey(key.PublicKey())})
		if err != nil {
			t.Fatal(err)
		}
		c := ssh.NewClient(conn, chans, reqs)
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		s.Stdout = &out
		if err := s.Run("true"); err == nil || err.(*ssh.ExitError).ExitStatus() != 7 || out.String() != "helloagain" {
			t.Errorf("%q, %v", out.String(), err)
		}
		if err := <-went; err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil && err != io.EOF {
			t.Error(err)
		}
	})
}

func serveOne(r *Rogue) error {
	if err := r.Login(); err != nil {
		return err
	}
	id, err := r.Session()
	if err == nil {
		err = r.Data(id, []byte("hello"))
	}
	for range 3 {
		if err == nil {
			err = r.Exchange(nil)
		}
	}
	if err == nil {
		err = r.Data(id, []byte("again"))
	}
	if err == nil {
		err = r.Exit(id, 7)
	}
	return err
}
