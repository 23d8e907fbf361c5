package master

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// prove asks the server to sign with new keys, and returns those that it has.
// The wait has no limit of its own. While it lasts the SSH library keeps every
// other global request back, probes too: watch takes this one for a probe, so a
// server that never answers ends as a silent one does, and is not asked again.
func (l *link) prove(u *keyUpdate, keys []ssh.PublicKey) ([]ssh.PublicKey, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var payload []byte
	for _, k := range keys {
		payload = append(payload, ssh.Marshal(struct{ Key []byte }{k.Marshal()})...)
	}
	l.proving.Store(true)
	// Before the request, because its failure is news to the next dial, which may
	// begin before this goroutine hears of it.
	u.unproven.Store(true)
	ok, answer, err := l.conn.SendRequest(proveRequest, true, payload)
	l.proving.Store(false)
	if err != nil {
		return nil, fmt.Errorf("the connection ended before the server had proven its keys: %w", err)
	}
	u.unproven.Store(false)
	signatures, err := stringList(answer)
	if !ok || err != nil || len(signatures) != len(keys) {
		return nil, errors.New("the server did not prove its keys")
	}
	var proven []ssh.PublicKey
	for i, k := range keys {
		switch err := verifyProof(k, l.conn.SessionID(), signatures[i]); {
		case errors.Is(err, errWeakProof):
		case err != nil:
			return nil, fmt.Errorf("the proof for %s is wrong: %w", u.check.describe(k), err)
		default:
			proven = append(proven, k)
		}
	}
	return proven, nil
}

var errWeakProof = errors.New("a signature with SHA-1")

// verifyProof checks one signature over the connection and the key. Bound to
// the session, it cannot have been made for anybody else.
func verifyProof(key ssh.PublicKey, session, signature []byte) error {
	var sig ssh.Signature
	if err := ssh.Unmarshal(signature, &sig); err != nil {
		return err
	}
	if len(sig.Rest) > 0 {
		return errors.New("there is something behind the signature")
	}
	if key.Type() == ssh.KeyAlgoRSA && sig.Format != ssh.KeyAlgoRSASHA256 && sig.Format != ssh.KeyAlgoRSASHA512 {
		return errWeakProof
	}
	return key.Verify(ssh.Marshal(struct {
		Request      string
		Session, Key []byte
	}{proveRequest, session, key.Marshal()}), &sig)
}
