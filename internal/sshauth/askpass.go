package sshauth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// AskpassVar names the variable in which a program's SSH_ASKPASS finds the
// socket to put its question to. Where it is set, this program is that
// SSH_ASKPASS and has to call Askpass and nothing else.
const AskpassVar = "MUXD_ASKPASS_SOCKET"

const (
	// maxQuestion is well over what ssh-add and ssh-agent ask (1,024 bytes).
	maxQuestion = 4096
	// maxAnswer is what ssh-add takes from its SSH_ASKPASS (readpass.c, 1,024
	// bytes with their end): it would cut off the rest and try what is left.
	maxAnswer = 1022
	// questionTime bounds what nobody has to think about: to state a question.
	questionTime = 10 * time.Second
)

// hintConfirm and hintNotice are values of SSH_ASKPASS_PROMPT (readpass.c).
const (
	hintConfirm = "confirm"
	hintNotice  = "none"
)

// Askpass puts the question in args to the socket, prints the answer and
// returns the exit status: 1, by ssh's rule, where there is no answer.
func Askpass(socket string, args []string) int {
	hint := os.Getenv("SSH_ASKPASS_PROMPT")
	if hint == hintNotice {
		return 0 // "touch your key": whoever has it sign says so
	}
	answer, err := put(socket, hint, strings.Join(args, " "))
	if err != nil {
		fmt.Fprintln(os.Stderr, "no answer:", err)
		return 1
	}
	defer clear(answer)
	if _, err := os.Stdout.Write(append(answer, '\n')); err != nil {
		return 1
	}
	return 0
}

// put sends the length of what follows, the hint, a zero byte and the text. The
// answer is a one and its bytes; a refusal is the end of the connection.
func put(socket, hint, text string) ([]byte, error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := checkPeer(c); err != nil {
		return nil, err
	}
	q := hint + "\x00" + text
	if len(q) > maxQuestion {
		return nil, errors.New("the question is too long")
	}
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(q))), q...)); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(c, maxAnswer+2))
	if err == nil && (len(b) == 0 || b[0] != 1) {
		err = errors.New("refused")
	}
	if err != nil {
		clear(b)
		return nil, err
	}
	return b[1:], nil
}

// checkPeer refuses an end that another user made, root's included: the one
// would learn a secret, the other put a question that is not ours.
func checkPeer(c net.Conn) error {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	uid := -1
	if cerr := raw.Control(func(fd uintptr) { uid, err = peerUID(int(fd)) }); cerr != nil {
		err = cerr
	}
	if err == nil && uid != os.Getuid() {
		err = fmt.Errorf("the other end is user %d", uid)
	}
	return err
}
