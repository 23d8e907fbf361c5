package sshauth

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxRounds bounds the challenges of one keyboard-interactive attempt. Real
// ones take two or three; a server that never ends would keep the login, whose
// deadline stands still while a person is asked.
const maxRounds = 32

func (l *Login) canAsk() bool { return l.cfg.Ask != nil && !l.cfg.Background }

// ask puts a question. An error that is not ErrNobody has ended the login.
func (l *Login) ask(q Question) (string, error) { return l.askWithin(l.ctx, q) }

// askWithin is ask for a question that may be withdrawn: the end of ctx alone
// does not end the login.
func (l *Login) askWithin(ctx context.Context, q Question) (string, error) {
	if err := l.failure(); err != nil {
		return "", err
	}
	if !l.canAsk() {
		return "", ErrNobody
	}
	q.Host = l.who()
	ctx, stop := both(ctx, l.ctx)
	defer stop()
	answer, err := l.cfg.Ask(ctx, q)
	// What ended the login outweighs what Ask makes of it.
	if cause := context.Cause(l.ctx); cause != nil {
		return "", cause
	}
	if err != nil && !errors.Is(err, ErrNobody) && ctx.Err() == nil {
		l.fatal = err
	}
	return answer, err
}

// both returns a context that ends with the first of a and b.
func both(a, b context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(a)
	stop := context.AfterFunc(b, func() { cancel(context.Cause(b)) })
	return ctx, func() { stop(); cancel(nil) }
}

// nobodyFor remembers that want could not be had.
func (l *Login) nobodyFor(want string) {
	l.nobody = true
	l.skip("%s and nobody could be asked", want)
}

func (l *Login) notice(text string) {
	if l.cfg.Notice != nil && !l.cfg.Background {
		l.cfg.Notice(text)
	}
}

// password is one try (RFC 4252 section 8).
func (l *Login) password() ssh.AuthMethod {
	if !l.mayTry(&l.passwords, "the server takes a password") {
		return nil
	}
	l.attempt = methodPassword
	l.log.Debug("next method", "host", l.cfg.Host, "method", l.attempt)
	return ssh.PasswordCallback(func() (string, error) {
		if l.passwords.n > 1 {
			l.notice("Permission denied, please try again.")
		}
		answer, err := l.ask(Question{Kind: Password, Text: l.who() + "'s password: "})
		if errors.Is(err, ErrNobody) {
			l.passwords.over = true
			l.nobodyFor("the server takes a password")
		}
		return answer, err
	})
}

// mayTry counts a try that needs a person, if another one makes sense.
func (l *Login) mayTry(t *tries, want string) bool {
	if t.over || t.n >= l.cfg.NumberOfPasswordPrompts {
		return false
	}
	if !l.canAsk() {
		t.over = true
		l.nobodyFor(want)
		return false
	}
	t.n++
	return true
}

// keyboard is one try (RFC 4256). A server that refuses without having asked
// anything would do so again: over is taken back by its first challenge.
func (l *Login) keyboard() ssh.AuthMethod {
	const want = "the server takes answers (keyboard-interactive)"
	if !l.mayTry(&l.keyboards, want) {
		return nil
	}
	l.attempt = methodKeyboard
	l.log.Debug("next method", "host", l.cfg.Host, "method", l.attempt)
	l.keyboards.over = true
	rounds := 0
	return ssh.KeyboardInteractive(func(name, instruction string, questions []string, echos []bool) ([]string, error) {
		l.keyboards.over = false
		if rounds++; rounds > maxRounds {
			l.fatal = errors.New("the server does not stop asking questions")
			return nil, l.fatal
		}
		answers, err := l.challenge(name, instruction, questions, echos)
		if errors.Is(err, ErrNobody) {
			l.keyboards.over = true
			l.nobodyFor(want)
		}
		return answers, err
	})
}

// challenge asks the questions of one round. What the server says besides goes
// before the first, so that it is seen where the question is: a graphical
// askpass shows nothing else.
func (l *Login) challenge(name, instruction string, questions []string, echos []bool) ([]string, error) {
	said := joinLines(name, instruction)
	if len(questions) == 0 && said != "" {
		l.notice(said)
	}
	var answers []string
	for i, q := range questions {
		text := "(" + l.who() + ") " + q
		if i == 0 {
			text = joinLines(said, text)
		}
		a, err := l.ask(Question{Kind: KeyboardInteractive, Text: text, Echo: echos[i]})
		if err != nil {
			return nil, err
		}
		answers = append(answers, a)
	}
	return answers, nil
}

// joinLines joins what is not empty, each on its own line.
func joinLines(parts ...string) string {
	var lines []string
	for _, p := range parts {
		if p = strings.TrimRight(p, "\r\n"); p != "" {
			lines = append(lines, p)
		}
	}
	return strings.Join(lines, "\n")
}
