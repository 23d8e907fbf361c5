package sshauth

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// mayAdd reports whether the agent is to be given the key in f, asking once if
// the configuration says so. Behind a login that no person wants nothing is
// added: whose agent it is would be chance.
func (l *Login) mayAdd(f *keyFile) bool {
	a := l.cfg.AddKeys
	if !a.Add || l.agent == nil || l.cfg.Background || f.added {
		return false
	}
	f.added = true
	if !a.Ask {
		return true
	}
	answer, err := l.ask(Question{Kind: Confirm, Echo: true, KeyFile: f.path,
		Text: fmt.Sprintf("Add key %s (%s) to agent? ", f.path, comment(f.path))})
	return err == nil && agrees(answer)
}

// giveToAgent adds a key that just signed, as ssh does: the plain key, also
// where a certificate was offered. What goes wrong with it is no reason to end
// a login that works.
func (l *Login) giveToAgent(f *keyFile) {
	if f.raw == nil || !l.mayAdd(f) {
		return
	}
	k := agent.AddedKey{PrivateKey: f.raw, Comment: comment(f.path), LifetimeSecs: wholeSeconds(l.cfg.AddKeys.Lifetime),
		ConfirmBeforeUse: l.cfg.AddKeys.Confirm}
	if err := l.agent.within(agentListTime, func() error { return l.agent.client.Add(k) }); err != nil {
		l.log.Warn("key not added to the agent", "key", f.path, "err", err)
		return
	}
	l.log.Debug("key added to the agent", "key", f.path)
}

// lend has ssh-add read a file that cannot be read here straight into the
// person's own agent.
func (l *Login) lend(f *keyFile) error {
	args := l.skArgs(f)
	if t := wholeSeconds(l.cfg.AddKeys.Lifetime); t > 0 {
		args = append(args, "-t", strconv.FormatUint(uint64(t), 10))
	}
	if l.cfg.AddKeys.Confirm {
		args = append(args, "-c")
	}
	before, err := l.agent.held()
	if err != nil {
		return err
	}
	if err := l.sshAdd(f, l.cfg.AgentSocket, args); err != nil {
		return err
	}
	after, err := l.agent.held()
	if err != nil {
		return err
	}
	pub := added(before, after, f.pub, f.path)
	if pub == nil {
		return errors.New("its private half does not match its public one")
	}
	f.lent = true
	return f.is(pub)
}

// wholeSeconds is a lifetime as agents take it.
func wholeSeconds(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	return uint32(min(max(1, int64(d/time.Second)), math.MaxUint32))
}

// comment is that of the public file, else the name of the file, as in ssh:
// the private file's own is encrypted with the key.
func comment(path string) string {
	data, err := readFile(path+".pub", false)
	if err == nil {
		if _, c, _, _, err := ssh.ParseAuthorizedKey(bytes.TrimSpace(data)); err == nil && c != "" {
			return strings.ToValidUTF8(c, "?")
		}
	}
	return path
}
