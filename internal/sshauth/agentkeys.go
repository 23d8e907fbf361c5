package sshauth

import (
	"context"
	"net"
	"time"

	"golang.org/x/crypto/ssh/agent"
)

// AgentKeys returns the public keys, in wire form, that the agent at a socket
// has. Nobody is asked for anything: an agent lists its keys without a touch or
// a passphrase. It ends with ctx, and after the limit in any case.
func AgentKeys(ctx context.Context, dial func(ctx context.Context, socket string) (net.Conn, error), socket string, limit time.Duration) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	keys, err := agent.NewClient(c).List()
	var blobs [][]byte
	for _, k := range keys {
		blobs = append(blobs, k.Blob)
	}
	return blobs, err
}
