package knownhosts

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Query says which host is asked about.
type Query struct {
	// Host is the name as resolved (HostName), or the HostKeyAlias. Case does
	// not matter.
	Host string
	// Port is the one connected to. With a HostKeyAlias it must be 0, since
	// ssh looks an alias up without a port.
	Port int
	// Address is the peer's IP for CheckHostIP, "" where that is off or makes
	// no sense (ProxyCommand, jump).
	Address string
	// CASignatureAlgorithms are those accepted on host certificates; nil is
	// OpenSSH's default, which leaves out SHA-1.
	CASignatureAlgorithms []string
	// Now is when a certificate must be valid; zero is the present.
	Now time.Time
}

// defaultPort stands in no entry: host:22 is written "host".
const defaultPort = 22

// Name is how the files spell the host: "host", or "[host]:port".
func (q Query) Name() string { return spell(q.Host, q.Port) }

func (q Query) hasPort() bool { return q.Port != 0 && q.Port != defaultPort }

func spell(host string, port int) string {
	host = strings.ToLower(host)
	if port == 0 || port == defaultPort {
		return host
	}
	return "[" + host + "]:" + strconv.Itoa(port)
}

// addressName spells the IP in its one canonical form (::ffff:1.2.3.4 is
// 1.2.3.4), so that what was written down is found again.
func (q Query) addressName() string {
	if ip := net.ParseIP(q.Address); ip != nil {
		return spell(ip.String(), q.Port)
	}
	return spell(q.Address, q.Port)
}

// Note is a line, or with Line 0 a file, that could not be used.
type Note struct {
	File string
	Line int // from 1
	Text string
}

func (n Note) String() string {
	if n.Line == 0 {
		return fmt.Sprintf("%s: %s", n.File, n.Text)
	}
	return fmt.Sprintf("%s:%d: %s", n.File, n.Line, n.Text)
}

// entry is a line and where it stands.
type entry struct {
	line
	file string
	num  int
}

// Store is what the files held when they were read. It never changes, so any
// number of goroutines may ask it.
type Store struct{ entries []entry }

// Load reads the user's files and then the global ones. A missing file is an
// empty one, and a bad line costs itself only; what was passed over and why is
// in the notes.
func Load(user, global []string) (*Store, []Note) {
	s := &Store{}
	var notes []Note
	for _, files := range [][]string{user, global} {
		for _, f := range files {
			notes = append(notes, s.load(f)...)
		}
	}
	return s, notes
}

func (s *Store) load(file string) []Note {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []Note{{File: file, Text: err.Error()}}
	}
	return s.read(file, string(data))
}

func (s *Store) read(file, data string) []Note {
	var notes []Note
	num := 0
	for text := range strings.Lines(data) {
		num++
		l, err := parseLine(text)
		switch {
		case errors.Is(err, errNothing):
		case err != nil:
			notes = append(notes, Note{file, num, err.Error()})
		default:
			s.entries = append(s.entries, entry{l, file, num})
		}
	}
	return notes
}

// lookup returns the entries about name in the order of the files.
func (s *Store) lookup(name string) []entry {
	var found []entry
	for _, e := range s.entries {
		if e.hosts.match(name) {
			found = append(found, e)
		}
	}
	return found
}
