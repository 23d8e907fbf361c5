package sshauth

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// errSkipped says that the reason for it was already noted.
var errSkipped = errors.New("the key was left out")

// unlock returns the private half of f, asking for its passphrase if it has
// one. A failure is final for the login: the reason is noted once, and the
// plain key's failure is its certificate's too.
func (l *Login) unlock(f *keyFile) (ssh.Signer, error) {
	if f.signer != nil {
		return f.signer, nil
	}
	if f.fault != nil {
		return nil, errSkipped
	}
	s, err := l.decrypt(f)
	if err == nil && f.pub != nil && !sameKey(plainKey(f.pub), s.PublicKey()) {
		err = errors.New("its private half does not match its public one")
	}
	if err != nil {
		f.fault = err
		switch {
		case errors.Is(err, ErrNobody):
			l.nobodyFor("key " + f.path + " needs a passphrase")
		case l.failure() == nil:
			l.skip("key %s: %v", f.path, err)
		}
		return nil, err
	}
	f.signer = s
	return s, nil
}

// decrypt reads the file again rather than keeping its content from when it
// was inspected: a login waits for minutes at a prompt, and most keys are
// never needed.
func (l *Login) decrypt(f *keyFile) (ssh.Signer, error) {
	data, err := readFile(f.path, true)
	defer clear(data)
	if err != nil {
		return nil, err
	}
	if !f.encrypted {
		s, err := ssh.ParsePrivateKey(data)
		return s, clean(err)
	}
	for range l.cfg.NumberOfPasswordPrompts {
		answer, err := l.ask(Question{Kind: Passphrase, KeyFile: f.path, Text: fmt.Sprintf("Enter passphrase for key '%s': ", f.path)})
		if err != nil {
			return nil, err
		}
		if answer == "" { // as with ssh: on to the next key
			return nil, errors.New("no passphrase was given")
		}
		pass := []byte(answer)
		s, err := ssh.ParsePrivateKeyWithPassphrase(data, pass)
		clear(pass)
		if err == nil {
			return s, nil
		}
		// Not x509.IncorrectPasswordError alone: the old PEM format has no check,
		// so there a wrong passphrase may decrypt to any kind of nonsense.
		l.log.Debug("bad passphrase", "key", f.path)
	}
	return nil, errors.New("no passphrase given was right")
}

func clean(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.TrimPrefix(err.Error(), "ssh: "))
}

// signByFile signs with the key in f.
func (l *Login) signByFile(f *keyFile, data []byte, algorithm string) (*ssh.Signature, error) {
	s, err := l.unlock(f)
	if err != nil {
		return nil, err
	}
	as, ok := s.(ssh.AlgorithmSigner)
	if !ok {
		return nil, fmt.Errorf("key %s cannot sign by %s", f.path, algorithm)
	}
	return as.SignWithAlgorithm(nil, data, algorithm)
}
