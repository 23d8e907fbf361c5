package sshtest

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// X11 is what an x11-req asked for (RFC 4254 section 6.3.1). The names are the
// message's, and so is the order of the fields.
type X11 struct {
	Single bool
	Proto  string
	Cookie string // in hexadecimal
	Screen uint32
}

func (s *Session) setX11(payload []byte) bool {
	var m X11
	if ssh.Unmarshal(payload, &m) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.x11 = &m
	return true
}

// OpenAgent opens a channel to the client's agent (PROTOCOL.agent, section 2).
func (p *Peer) OpenAgent() (ssh.Channel, error) { return p.Open("auth-agent@openssh.com", nil) }

// OpenX11 opens a channel to the client's X server (RFC 4254 section 6.3.2).
func (p *Peer) OpenX11() (ssh.Channel, error) {
	return p.Open("x11", ssh.Marshal(struct {
		Origin string
		Port   uint32
	}{"192.0.2.3", 50001}))
}

// X11Setup is how an X11 client begins (X11 protocol, section 8): in either
// byte order, with a cookie.
func X11Setup(order binary.AppendByteOrder, proto string, cookie []byte) []byte {
	first := byte('l')
	if order == binary.AppendByteOrder(binary.BigEndian) {
		first = 'B'
	}
	b := order.AppendUint16([]byte{first, 0}, 11)
	b = order.AppendUint16(b, 0)
	b = order.AppendUint16(b, uint16(len(proto)))
	b = order.AppendUint16(b, uint16(len(cookie)))
	b = append(b, 0, 0)
	for _, part := range []string{proto, string(cookie)} {
		b = append(b, part...)
		b = append(b, make([]byte, -len(part)&3)...)
	}
	return b
}

// X11Answer reads an X server's answer to a client that began with X11Setup in
// that order: "success", "failed REASON", or "closed" where there is none.
func X11Answer(r io.Reader, order binary.ByteOrder) string {
	head := make([]byte, 8)
	if _, err := io.ReadFull(r, head); err != nil {
		return "closed"
	}
	rest := make([]byte, 4*int(order.Uint16(head[6:])))
	if _, err := io.ReadFull(r, rest); err != nil {
		return "closed"
	}
	if head[0] == 1 {
		return "success"
	}
	return "failed " + string(rest[:min(int(head[1]), len(rest))])
}

// listAgent is the command "agent".
func listAgent(s *Session, _ []string) Exit {
	ch, err := s.Peer.OpenAgent()
	if err != nil {
		return refusedBack(s, "agent", err)
	}
	defer ch.Close()
	keys, err := agent.NewClient(ch).List()
	if err != nil {
		return refusedBack(s, "agent", err)
	}
	for _, k := range keys {
		fmt.Fprintln(s.Out, ssh.FingerprintSHA256(k))
	}
	return Exit{}
}

// openX11 is the command "x11".
func openX11(s *Session, args []string) Exit {
	m := s.X11()
	if m == nil {
		m = &X11{Proto: "MIT-MAGIC-COOKIE-1"}
	}
	text := m.Cookie
	if len(args) > 0 {
		text = args[0]
	}
	cookie, err := hex.DecodeString(text)
	if err != nil {
		return refusedBack(s, "x11", err)
	}
	ch, err := s.Peer.OpenX11()
	if err != nil {
		return refusedBack(s, "x11", err)
	}
	defer ch.Close()
	if _, err := ch.Write(X11Setup(binary.BigEndian, m.Proto, cookie)); err != nil {
		return refusedBack(s, "x11", err)
	}
	return say(s.Out, []string{X11Answer(ch, binary.BigEndian)})
}

// refusedBack is the end of a command whose way back to the client was barred.
func refusedBack(s *Session, what string, err error) Exit {
	text := err.Error()
	if why := (*ssh.OpenChannelError)(nil); errors.As(err, &why) {
		text = fmt.Sprintf("refused: %d %s", why.Reason, why.Message)
	}
	fmt.Fprintf(s.Err, "%s: %s\n", what, text)
	return Exit{Status: 1}
}
