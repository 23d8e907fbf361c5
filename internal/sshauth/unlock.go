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
	s, raw, err := l.decrypt(f)
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
	f.signer, f.raw = s, raw
	return s, nil
}

// decrypt reads the file again rather than keeping its content from when it
// was inspected: a login waits for minutes at a prompt, and most keys are
// never needed.
func (l *Login) decrypt(f *keyFile) (ssh.Signer, any, error) {
	// Before the reading: a file that is replaced in between is then remembered
	// as what it was, and not known again.
	id, err := identify(f.path)
	if err != nil {
		return nil, nil, err
	}
	if f.encrypted && l.cfg.Remember > 0 {
		if k, ok := l.cfg.Keyring.get(id); ok {
			return k.signer, k.raw, nil
		}
	}
	data, err := readFile(f.path, true)
	defer clear(data)
	if err != nil {
		return nil, nil, err
	}
	if !f.encrypted {
		raw, err := ssh.ParseRawPrivateKey(data)
		return signerOf(raw, err)
	}
	s, raw, err := l.openSesame(f, data)
	if err == nil {
		l.cfg.Keyring.put(id, decrypted{s, raw}, l.cfg.Remember)
	}
	return s, raw, err
}

// openSesame asks for the passphrase until one fits.
func (l *Login) openSesame(f *keyFile, data []byte) (ssh.Signer, any, error) {
	for range l.cfg.NumberOfPasswordPrompts {
		answer, err := l.ask(Question{Kind: Passphrase, KeyFile: f.path, Text: fmt.Sprintf("Enter passphrase for key '%s': ", f.path)})
		if err != nil {
			return nil, nil, err
		}
		if answer == "" { // as with ssh: on to the next key
			return nil, nil, errors.New("no passphrase was given")
		}
		pass := []byte(answer)
		s, raw, err := signerOf(ssh.ParseRawPrivateKeyWithPassphrase(data, pass))
		clear(pass)
		if err == nil {
			return s, raw, nil
		}
		// Not x509.IncorrectPasswordError alone: the old PEM format has no check,
		// so there a wrong passphrase may decrypt to any kind of nonsense.
		l.log.Debug("bad passphrase", "key", f.path)
	}
	return nil, nil, errors.New("no passphrase given was right")
}

func signerOf(raw any, err error) (ssh.Signer, any, error) {
	if err != nil {
		return nil, nil, clean(err)
	}
	s, err := ssh.NewSignerFromKey(raw)
	return s, raw, clean(err)
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
	sig, err := as.SignWithAlgorithm(nil, data, algorithm)
	if err == nil {
		l.giveToAgent(f)
	}
	return sig, err
}
