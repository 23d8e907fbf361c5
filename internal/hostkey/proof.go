package hostkey

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// prove asks the server to sign with new keys, and returns those that it has.
// The wait has no limit of its own: whoever probes the connection takes this
// request for a probe, so a server that never answers ends as a silent one does,
// and is not asked again.
func (u *Update) prove(conn ssh.Conn, keys []ssh.PublicKey) ([]ssh.PublicKey, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var payload []byte
	for _, k := range keys {
		payload = append(payload, ssh.Marshal(struct{ Key []byte }{k.Marshal()})...)
	}
	tell(u.Proving, true)
	// Before the request, because its failure is news to the next dial, which may
	// begin before this goroutine hears of it.
	tell(u.Unproven, true)
	ok, answer, err := conn.SendRequest(proveRequest, true, payload)
	tell(u.Proving, false)
	if err != nil {
		return nil, fmt.Errorf("the connection ended before the server had proven its keys: %w", err)
	}
	tell(u.Unproven, false)
	signatures, err := stringList(answer)
	if !ok || err != nil || len(signatures) != len(keys) {
		return nil, errors.New("the server did not prove its keys")
	}
	var proven []ssh.PublicKey
	for i, k := range keys {
		switch err := verifyProof(k, conn.SessionID(), signatures[i]); {
		case errors.Is(err, errWeakProof):
		case err != nil:
			return nil, fmt.Errorf("the proof for %s is wrong: %w", u.check.describe(k), err)
		default:
			proven = append(proven, k)
		}
	}
	return proven, nil
}

func tell(f func(bool), v bool) {
	if f != nil {
		f(v)
	}
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
