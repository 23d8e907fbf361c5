package knownhosts

import "golang.org/x/crypto/ssh"

// Place is where a key stands in the files, and under which names.
type Place struct {
	File  string
	Line  int
	Hosts string // as written, or "[hashed name]"
}

// OtherNames returns where key stands in the files for other hosts than the
// one asked about, in the order of the files: what a person who is asked about
// it wants to know (hostkeys_find_by_key, sshconnect.c).
func (s *Store) OtherNames(q Query, key ssh.PublicKey) []Place {
	var places []Place
	for _, e := range s.entries {
		if e.marker != plain || e.from == Command || !sameKey(e.key, key) || e.hosts.match(q.Name()) {
			continue
		}
		p := Place{e.file, e.num, e.hosts.written}
		if e.hosts.sum != nil {
			p.Hosts = "[hashed name]"
		}
		places = append(places, p)
	}
	return places
}
