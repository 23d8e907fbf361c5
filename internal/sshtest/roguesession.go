package sshtest

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// Greet exchanges versions and the first keys.
func (r *Rogue) Greet() error {
	if err := r.Versions("SSH-2.0-rogue"); err != nil {
		return err
	}
	return r.Exchange(nil)
}

// Login lets the client in at once.
func (r *Rogue) Login() error {
	err := r.Greet()
	if err == nil {
		err = r.Service()
	}
	if err == nil {
		_, err = r.Expect(MsgUserauth)
	}
	if err == nil {
		err = r.Write([]byte{MsgLoggedIn})
	}
	return err
}

// Service grants the service that the client asks for, ssh-userauth.
func (r *Rogue) Service() error {
	p, err := r.Expect(5)
	if err == nil {
		p[0] = 6
		err = r.Write(p)
	}
	return err
}

// Expect returns the client's next packet with that number and answers, on the
// way, global requests by a refusal.
func (r *Rogue) Expect(number byte) ([]byte, error) {
	for {
		p, err := r.Read()
		switch {
		case err != nil:
			return nil, err
		case p[0] == number:
			return p, nil
		case p[0] == MsgGlobal:
			if err := r.Write([]byte{MsgGlobalFailed}); err != nil {
				return nil, err
			}
		case p[0] == MsgDisconnect:
			return nil, fmt.Errorf("the client disconnects: %q", p)
		}
	}
}

// Channel is the client's number of the next channel that it opens.
func (r *Rogue) Channel() (uint32, error) {
	p, err := r.Expect(MsgOpen)
	if err != nil {
		return 0, err
	}
	var open struct {
		Kind           string `sshtype:"90"`
		ID             uint32
		Window, Packet uint32
		Rest           []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(p, &open); err != nil {
		return 0, err
	}
	if open.Kind != "session" {
		return 0, errors.New("the client opens no session: " + open.Kind)
	}
	return open.ID, nil
}

// Confirm says yes to a channel that the client opened. Our number is the client's.
func (r *Rogue) Confirm(id, window, packet uint32) error {
	return r.Write(Packet(MsgConfirm, id, id, window, packet))
}

// Session is the next session that the client opens, up to the command, which is
// granted.
func (r *Rogue) Session() (uint32, error) { return r.SessionOf(2 << 20) }

// SessionOf is a Session whose client may send so many bytes.
func (r *Rogue) SessionOf(window uint32) (uint32, error) {
	id, err := r.Channel()
	if err == nil {
		err = r.Confirm(id, window, 32<<10)
	}
	for err == nil {
		var p []byte
		if p, err = r.Expect(MsgRequest); err != nil {
			break
		}
		var q struct {
			ID    uint32 `sshtype:"98"`
			Kind  string
			Reply bool
			Rest  []byte `ssh:"rest"`
		}
		if err = ssh.Unmarshal(p, &q); err == nil && q.Reply {
			err = r.Write(Packet(MsgSuccess, id))
		}
		if q.Kind == "exec" || q.Kind == "shell" || q.Kind == "subsystem" {
			return id, err
		}
	}
	return id, err
}

// Data sends bytes on a channel.
func (r *Rogue) Data(id uint32, b []byte) error { return r.Write(Packet(MsgData, id, b)) }

// Exit sends a session's status and closes it.
func (r *Rogue) Exit(id, status uint32) error {
	if err := r.Write(Packet(MsgRequest, id, "exit-status", false, status)); err != nil {
		return err
	}
	return r.Write(Packet(MsgClose, id))
}

// Drain reads what the client sends until it goes, and grants nothing.
func (r *Rogue) Drain() error {
	for {
		if _, err := r.Expect(0); err != nil {
			return err
		}
	}
}
