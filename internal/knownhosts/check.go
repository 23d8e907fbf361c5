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

// Result is the answer of Check.
type Result struct {
	Status Status
	// File and Line are of the entry that decided, and From is where that
	// comes from; "" and 0 when Unknown.
	File string
	Line int
	From Origin
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
	// Reason says why a certificate was passed over and its plain key judged,
	// "" otherwise.
	Reason string
}

// Check looks key up for the host, as check_host_key (sshconnect.c) does: by
// name and port; if that is unknown, by bare name, where only a match counts.
// A certificate that does not convince is judged as the plain key inside it.
func (s *Store) Check(q Query, key ssh.PublicKey) Result {
	r := check(q, s.lookup(q.Name()), key)
	if r.Status == Unknown {
		if b := check(q, s.bare(q), key); b.Status == Known || b.Status == Revoked {
			b.Bare = true
			r = b
		}
	}
	return r
}

// CheckAddress looks the plain key up under the address (CheckHostIP). A
// certificate names hosts and not addresses, so whoever is Known by one is not
// asked about.
func (s *Store) CheckAddress(q Query, key ssh.PublicKey) Result {
	if q.Address == "" {
		return Result{}
	}
	return check(q, s.lookup(q.AddressName()), Plain(key))
}

func check(q Query, found []entry, key ssh.PublicKey) Result {
	for _, e := range found {
		if e.marker == revoked && revokes(e.key, key) {
			return e.result(Revoked)
		}
	}
	reason := ""
	if cert, ok := key.(*ssh.Certificate); ok {
		e, err := trusted(q, found, cert)
		if err == nil {
			r := e.result(Known)
			r.CA = true
			return r
		}
		reason = err.Error()
	}
	r := checkPlain(found, Plain(key))
	r.Reason = reason
	return r
}

func (e entry) result(s Status) Result {
	return Result{Status: s, File: e.file, Line: e.num, From: e.from}
}

func checkPlain(found []entry, key ssh.PublicKey) Result {
	var r Result
	for _, e := range found {
		if e.marker != plain {
			continue
		}
		if sameKey(e.key, key) {
			return e.result(Known)
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
	bad = Plain(bad)
	if cert, ok := key.(*ssh.Certificate); ok && sameKey(bad, cert.SignatureKey) {
		return true
	}
	return sameKey(bad, Plain(key))
}

// Plain is the key without a certificate around it.
func Plain(k ssh.PublicKey) ssh.PublicKey {
	if cert, ok := k.(*ssh.Certificate); ok {
		return cert.Key
	}
	return k
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
