package sshtest

import (
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func TestAgentOnItsSocket(t *testing.T) {
	k := NewKey()
	var path string
	var left net.Conn // open when the test ends
	defer func() { left.Close() }()
	t.Run("a test", func(t *testing.T) {
		a := ServeAgent(t, NewKey(), k)
		path = a.Path
		conn, err := net.Dial("unix", a.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client := agent.NewClient(conn)
		if keys, err := client.List(); len(keys) != 2 || err != nil {
			t.Errorf("%v, %v", keys, err)
		}
		data := []byte("data")
		if sig, err := client.Sign(k.PublicKey(), data); err != nil || k.PublicKey().Verify(data, sig) != nil {
			t.Errorf("%v, %v", sig, err)
		}
		a.Refuse(true)
		if _, err := client.Sign(k.PublicKey(), data); err == nil {
			t.Error("a refusing agent signs")
		}
		a.Refuse(false)
		if err := a.Remove(k); err != nil {
			t.Error(err)
		}
		if _, err := client.Sign(k.PublicKey(), data); err == nil {
			t.Error("signs with a key that was removed")
		}
		if n := a.Signs(); n != 3 {
			t.Errorf("%d signatures counted", n)
		}
		a.Drop()
		if _, err := client.List(); err == nil {
			t.Error("answers after Drop")
		}
		if left, err = net.Dial("unix", a.Path); err != nil {
			t.Fatal(err)
		}
		if _, err := agent.NewClient(left).List(); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestAgentDelaysInVirtualTimeAndLogsIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := NewKey()
		a := NewAgent(k)
		a.Delay(5 * time.Second)
		near, far := Pipe()
		go a.Serve(far)
		defer near.Close()
		s := NewServer(Options{AuthorizedKeys: []ssh.PublicKey{k.PublicKey()}})
		defer s.Close()
		start := time.Now()
		c, err := login(s, ssh.PublicKeysCallback(agent.NewClient(near).Signers))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if d := time.Since(start); d != 5*time.Second || a.Signs() != 1 {
			t.Errorf("%d signatures in %v", a.Signs(), d)
		}
	})
}
