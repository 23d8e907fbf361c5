package sshtest

import (
	"io"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// A file outlives the connection that wrote it, as on a real server.
func TestSFTPKeepsFilesAcrossLogins(t *testing.T) {
	text := strings.Repeat("in virtual time\n", 10_000)
	served(t, Options{}, func(t *testing.T, s *Server, c *ssh.Client) {
		first, err := sftp.NewClient(c)
		if err != nil {
			t.Fatal(err)
		}
		f, err := first.Create("/file")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, text); err != nil || f.Close() != nil || first.Close() != nil {
			t.Fatal(err)
		}
		again, err := login(s)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		second, err := sftp.NewClient(again)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		if f, err = second.Open("/file"); err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got, err := io.ReadAll(f); string(got) != text || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}
