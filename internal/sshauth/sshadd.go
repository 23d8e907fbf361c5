package sshauth

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// addError is what ssh-add said when it failed.
type addError struct{ text string }

func (e *addError) Error() string { return e.text }

// sshAdd runs ssh-add for the agent at socket. What it asks goes to r; without
// one it is refused. When ctx ends it is killed, with the SSH_ASKPASS that it
// waits for.
func (p *PrivateAgent) sshAdd(ctx context.Context, proc *agentProcess, r *relay, args ...string) error {
	return p.sshAddTo(ctx, proc.socket, r, args...)
}

func (p *PrivateAgent) sshAddTo(ctx context.Context, socket string, r *relay, args ...string) error {
	program, err := find("ssh-add")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	askpass, relaySocket := "/bin/false", ""
	if r != nil {
		askpass, relaySocket = p.cfg.Askpass, r.ln.Addr().String()
	}
	cmd.Env, cmd.Dir = environment(append(askpassEnv(askpass, relaySocket), "SSH_AUTH_SOCK="+socket)...), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal to ask on instead
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	said := &tail{}
	cmd.Stderr = said
	err = cmd.Run()
	var status *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &status) && said.last() != "":
		return &addError{"ssh-add: " + said.last()}
	}
	return fmt.Errorf("ssh-add: %w", err)
}

// lifetime are ssh-add's arguments for how long the agent is to keep a key.
// One that is for one login has an end too, in case nobody takes it away.
func lifetime(remember time.Duration) []string {
	if remember == Forever {
		return nil
	}
	return []string{"-t", strconv.FormatInt(int64(agentLife(remember)/time.Second), 10)}
}

// agentLife is how long the agent keeps what is remembered for a time: as much
// more as a login needs from taking the key to its signature.
func agentLife(remember time.Duration) time.Duration {
	if remember <= 0 {
		return agentLoginTime
	}
	return remember.Round(time.Second) + useless
}

// agentLoginTime is more than a login takes with all that is asked in it.
const agentLoginTime = 15 * time.Minute

// questioner asks a login's person what a program asks, a bounded number of
// times, and remembers why there was no answer.
type questioner struct {
	l    *Login
	q    Question // Text is empty: the program's own
	what string   // "passphrase" or "PIN"
	left int
	err  error
}

// answering runs work and passes the questions from r on meanwhile. It returns
// when work has, so work has to end with the login.
func (q *questioner) answering(r *relay, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	for {
		select {
		case err := <-done:
			if err != nil && q.err != nil {
				return q.err
			}
			return err
		case a := <-r.questions:
			a.answer <- q.answer(a)
		}
	}
}

// answer returns nil for none.
func (q *questioner) answer(a *asked) []byte {
	if q.left--; q.left < 0 {
		q.err = errors.New("no " + q.what + " given was right")
		return nil
	}
	question := q.q
	if question.Text == "" {
		question.Text = a.text
	}
	if a.hint == hintConfirm {
		question.Kind, question.Echo, question.Text = Confirm, true, a.text
	}
	text, err := q.l.askWithin(a.ctx, question)
	switch {
	case err != nil:
		q.err = err
	case a.hint == hintConfirm && !agrees(text):
		q.err = errors.New("it was not confirmed")
	case a.hint != hintConfirm && text == "":
		q.err = errors.New("no " + q.what + " was given")
	case len(text) > maxAnswer:
		q.err = errors.New("the " + q.what + " is longer than ssh-add takes")
	default:
		return []byte(text)
	}
	return nil
}

// agrees is ssh's reading of an answer (readpass.c, ask_permission).
func agrees(answer string) bool { return answer == "" || strings.EqualFold(answer, "yes") }
