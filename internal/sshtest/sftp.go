package sshtest

import (
	"errors"
	"io"

	"github.com/pkg/sftp"
)

// serveSFTP is the subsystem "sftp" on the one file system, in memory, that
// all logins of a server share.
func serveSFTP(s *Session, _ []string) Exit {
	stream := struct {
		io.Reader
		io.WriteCloser
	}{s.In, s.ch}
	err := sftp.NewRequestServer(stream, s.Peer.server.files).Serve()
	if err != nil && !errors.Is(err, io.EOF) {
		return Exit{Status: 1}
	}
	return Exit{}
}
