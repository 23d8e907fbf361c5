package knownhosts

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Query says which host is asked about.
type Query struct {
	// Host is the name as resolved (HostName). Case does not matter.
	Host string
	// Port is the one connected to.
	Port int
	// Alias is the HostKeyAlias, which stands for host and port together, ""
	// for none.
	Alias string
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

// Name is how the files spell the host: "host", or "[host]:port", or the
// alias.
func (q Query) Name() string {
	if q.Alias != "" {
		return strings.ToLower(q.Alias)
	}
	return spell(q.Host, q.Port)
}

// certName is what a certificate calls the host.
func (q Query) certName() string {
	if q.Alias != "" {
		return strings.ToLower(q.Alias)
	}
	return strings.ToLower(q.Host)
}

// hasPort reports that the host may also be written without its port.
func (q Query) hasPort() bool { return q.Alias == "" && q.Port != 0 && q.Port != defaultPort }

func spell(host string, port int) string {
	host = strings.ToLower(host)
	if port == 0 || port == defaultPort {
		return host
	}
	return "[" + host + "]:" + strconv.Itoa(port)
}

// AddressName is how the files spell the address, "" without one. The IP has
// its one canonical form (::ffff:1.2.3.4 is 1.2.3.4), so that what was written
// down is found again. An alias stands for the name alone.
func (q Query) AddressName() string {
	if q.Address == "" {
		return ""
	}
	if ip := net.ParseIP(q.Address); ip != nil {
		return spell(ip.String(), q.Port)
	}
	return spell(q.Address, q.Port)
}

// Note is a line, or with Line 0 a file, that could not be used.
type Note struct {
	File string
	Line int // from 1; 0 for the file, which could not be read
	Text string
}

func (n Note) String() string {
	if n.Line == 0 {
		return fmt.Sprintf("%s: %s", n.File, n.Text)
	}
	return fmt.Sprintf("%s:%d: %s", n.File, n.Line, n.Text)
}

// Origin is where an entry comes from.
type Origin int

// The origins. Only what stands in the user's own files is ever changed.
const (
	User    Origin = iota // UserKnownHostsFile
	Global                // GlobalKnownHostsFile
	Command               // KnownHostsCommand
)

// entry is a line and where it stands.
type entry struct {
	line
	file string
	num  int
	from Origin
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
	for _, f := range user {
		notes = append(notes, s.load(f, User)...)
	}
	for _, f := range global {
		notes = append(notes, s.load(f, Global)...)
	}
	return s, notes
}

// With returns a Store that also holds what a KnownHostsCommand printed. The
// name is what its lines are reported by, in place of a file's.
func (s *Store) With(name, output string) (*Store, []Note) {
	more := &Store{entries: slices.Clip(s.entries)}
	notes := more.read(name, output, Command)
	return more, notes
}

func (s *Store) load(file string, from Origin) []Note {
	data, err := readKeys(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []Note{{File: file, Text: withoutPath(err).Error()}}
	}
	return s.read(file, string(data), from)
}

// withoutPath is an error of a file without that and the operation.
func withoutPath(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func (s *Store) read(file, data string, from Origin) []Note {
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
			s.entries = append(s.entries, entry{l, file, num, from})
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

// bare are the entries about a host on another port that carry none. What a
// KnownHostsCommand prints is about the name that it was asked for.
func (s *Store) bare(q Query) []entry {
	if !q.hasPort() {
		return nil
	}
	return slices.DeleteFunc(s.lookup(spell(q.Host, 0)), func(e entry) bool { return e.from == Command })
}
