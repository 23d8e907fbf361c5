package knownhosts

import (
	"bytes"

	"golang.org/x/crypto/ssh"
)

// Status is what the files say about a host key.
type Status int

// The statuses, from the one that says least.
const (
	// Unknown: the files have no key for this host.
	Unknown Status = iota
	// Known: this very key, or a certificate by an authority for the host.
	Known
	// Changed: the files have other keys for this host, and not this one.
	Changed
	// Revoked: the key, or the authority of its certificate, is marked
	// @revoked for this host. It beats every other entry.
	Revoked
)

func (s Status) String() string {
	switch s {
	case Known:
		return "known"
	case Changed:
		return "changed"
	case Revoked:
		return "revoked"
	}
	return "unknown"
}

// Entry is a key in a file.
type Entry struct {
	File string
	Line int // from 1
	Key  ssh.PublicKey
}

// Fingerprint is the key's SHA256 one, as ssh prints it.
func (e Entry) Fingerprint() string { return ssh.FingerprintSHA256(e.Key) }

// Result is the answer of Check.
type Result struct {
	Status Status
	// File and Line are of the entry that decided; "" and 0 when Unknown.
	File string
	Line int
	// Want is, when Changed, the known key of the same type, or nil where only
	// keys of other types are known.
	Want *Entry
	// Other holds, when Changed, the known keys of other types.
	Other []Entry
	// Bare says that the entry carries no port though the connection has one.
	// ssh accepts those and adds nothing by them.
	Bare bool
	// CA says that the host is Known by a certificate.
	CA bool
	// Address is what the files say of the key under Query.Address; Unknown
	// where none was given.
	Address Status
	// Reason says why a certificate was passed over and its plain key judged,
	// "" otherwise.
	Reason string
}

// Check looks key up for the host, as check_host_key (sshconnect.c) does: by
// name and port; if that is unknown, by bare name, where only a match counts.
// A certificate that does not convince is judged as the plain key inside it.
func (s *Store) Check(q Query, key ssh.PublicKey) Result {
	r := s.check(q, q.Name(), key)
	if r.Status == Unknown && q.hasPort() {
		if b := s.check(q, spell(q.Host, 0), key); b.Status == Known || b.Status == Revoked {
			b.Bare = true
			r = b
		}
	}
	if q.Address != "" {
		s.checkAddress(q, key, &r)
	}
	return r
}

// checkAddress adds what is known under the address. A certificate names
// hosts and not addresses, so there the name's answer stands for both.
func (s *Store) checkAddress(q Query, key ssh.PublicKey, r *Result) {
	if r.CA {
		r.Address = r.Status
		return
	}
	a := s.check(q, q.addressName(), plainKey(key))
	r.Address = a.Status
	if a.Status == Revoked && r.Status != Revoked {
		r.Status, r.File, r.Line = Revoked, a.File, a.Line
	}
}

func (s *Store) check(q Query, name string, key ssh.PublicKey) Result {
	found := s.lookup(name)
	for _, e := range found {
		if e.marker == revoked && revokes(e.key, key) {
			return Result{Status: Revoked, File: e.file, Line: e.num}
		}
	}
	reason := ""
	if cert, ok := key.(*ssh.Certificate); ok {
		e, err := trusted(q, found, cert)
		if err == nil {
			return Result{Status: Known, File: e.file, Line: e.num, CA: true}
		}
		reason = err.Error()
	}
	r := checkPlain(found, plainKey(key))
	r.Reason = reason
	return r
}

func checkPlain(found []entry, key ssh.PublicKey) Result {
	var r Result
	for _, e := range found {
		if e.marker != plain {
			continue
		}
		if sameKey(e.key, key) {
			return Result{Status: Known, File: e.file, Line: e.num}
		}
		r.Status = Changed
		known := Entry{e.file, e.num, e.key}
		switch {
		case e.key.Type() != key.Type():
			r.Other = append(r.Other, known)
		case r.Want == nil:
			r.Want = &known
		}
	}
	switch {
	case r.Want != nil:
		r.File, r.Line = r.Want.File, r.Want.Line
	case len(r.Other) > 0:
		r.File, r.Line = r.Other[0].File, r.Other[0].Line
	}
	return r
}

// revokes reports whether a @revoked line for bad condemns key: itself, the
// key inside a certificate, or the authority that signed it.
func revokes(bad, key ssh.PublicKey) bool {
	bad = plainKey(bad)
	if cert, ok := key.(*ssh.Certificate); ok && sameKey(bad, cert.SignatureKey) {
		return true
	}
	return sameKey(bad, plainKey(key))
}

func plainKey(k ssh.PublicKey) ssh.PublicKey {
	if cert, ok := k.(*ssh.Certificate); ok {
		return cert.Key
	}
	return k
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
