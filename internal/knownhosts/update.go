package knownhosts

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Update is what UpdateHostKeys makes of the keys that a server says it has.
type Update struct {
	// New are those that no file has for the host. They are to be proven
	// before they are believed.
	New []ssh.PublicKey
	// Old are in the files for the host and no longer the server's.
	Old []Entry
	// Skip says why the files must be left alone, "" if they need not be.
	Skip string
}

// Plan compares the keys that a server offers with those in the user's files.
// It wants the files left alone wherever it is not ssh itself that wrote the
// lines (client_input_hostkeys, clientloop.c).
func (s *Store) Plan(q Query, offered []ssh.PublicKey) Update {
	var u Update
	seen := make([]bool, len(offered))
	own := s.ofUser()
	for _, e := range own {
		i := slices.IndexFunc(offered, func(k ssh.PublicKey) bool { return sameKey(k, e.key) })
		host, ip := e.about(q)
		switch {
		case !host && !ip:
			if i >= 0 {
				u.skip("a key of it stands there for another host")
			}
			continue
		case e.marker != plain:
			u.skip("an authority or a revoked key stands there for it")
			continue
		case q.Address != "" && len(e.hosts.patterns) > 1 && !(host && ip):
			u.skip("name and address stand there with others")
			if !host {
				continue
			}
		}
		switch {
		case e.hosts.byHand():
			u.skip("a pattern or a list that somebody wrote stands there for it")
		case i >= 0:
			seen[i] = true
		default:
			u.Old = append(u.Old, Entry{e.file, e.num, e.key})
		}
	}
	for i, k := range offered {
		if !seen[i] {
			u.New = append(u.New, k)
		}
	}
	if slices.ContainsFunc(own, func(e entry) bool { return u.elsewhere(q, e) }) {
		u.skip("a key that would go stands there for another host")
	}
	return u
}

func (u *Update) skip(why string) {
	if u.Skip == "" {
		u.Skip = why
	}
}

// elsewhere reports a key that would go in a line about another host. Then
// that is perhaps the same host by another name, and would be left with a key
// that it has no longer.
func (u *Update) elsewhere(q Query, e entry) bool {
	host, ip := e.about(q)
	return !host && !ip && slices.ContainsFunc(u.Old, func(o Entry) bool { return sameKey(o.Key, e.key) })
}

func (s *Store) ofUser() []entry {
	return slices.DeleteFunc(slices.Clone(s.entries), func(e entry) bool { return e.from != User })
}

// about reports whether the entry names the host, and whether it names the
// address.
func (e entry) about(q Query) (host, ip bool) {
	return e.hosts.match(q.Name()), q.Address != "" && e.hosts.match(q.AddressName())
}

// byHand reports names that ssh never writes: it writes one, or a name and an
// address.
func (h hostSpec) byHand() bool {
	return len(h.patterns) > 2 || strings.ContainsAny(strings.Join(h.patterns, ","), "*?")
}
