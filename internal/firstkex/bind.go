package firstkex

import (
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// Extension is the agent's for which server a connection to it is used (PROTOCOL.agent
// of OpenSSH, section 1). Keys that are for some servers alone are of no use without.
const Extension = "session-bind@openssh.com"

// Contents is what follows the extension's name. Forwarded says that it is not
// this side that will ask the agent to sign, but the server.
func (p *Proof) Contents(forwarded bool) []byte {
	return ssh.Marshal(struct {
		HostKey, SessionID, Signature []byte
		Forwarded                     bool
	}{p.HostKey, p.SessionID, p.Signature, forwarded})
}

const (
	agentSuccess = 6 // SSH_AGENT_SUCCESS
	// maxAnswer bounds an agent's answer, which is one byte.
	maxAnswer = 4 << 10
)

// Bind says on a connection to an agent, before anything else, that the server
// will use it. It reads the answer and not a byte more. An agent that does not know
// the extension says no, which is not an error.
func (p *Proof) Bind(agent io.ReadWriter) (bound bool, err error) {
	m := ssh.Marshal(struct {
		Name string `sshtype:"27"`
		Rest []byte `ssh:"rest"`
	}{Extension, p.Contents(true)})
	if _, err := agent.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...)); err != nil {
		return false, err
	}
	var head [5]byte
	if _, err := io.ReadFull(agent, head[:]); err != nil {
		return false, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 1 || n > maxAnswer {
		return false, fmt.Errorf("the agent answers with %d bytes", n)
	}
	_, err = io.CopyN(io.Discard, agent, int64(n)-1)
	return err == nil && head[4] == agentSuccess, err
}
