package learned

import (
	"slices"
	"sync"
	"time"

	"muxd/alive"
)

const (
	// maxDests, maxKeys and maxNetworks bound memory and file: about 200
	// bytes for each network of a destination, 3 MB if all are full. Few
	// people have a hundred destinations; a script that connects to names it
	// makes up must not cost the rest of them.
	maxDests    = 1000
	maxKeys     = 500
	maxNetworks = 16 // of one destination: home, office, phone, trains

	// soon is how long a lesson may wait for the disk, so that what is
	// learned together is written together.
	soon = 3 * time.Second

	// someday is how long a mere count may wait: each answered probe of each
	// host makes one, and losing some minutes of them costs nothing, while
	// a laptop's disk that is woken every few seconds costs an afternoon.
	someday = 10 * time.Minute
)

// A Logger takes one line; *slog.Logger is one.
type Logger interface {
	Warn(msg string, args ...any)
}

// A Store holds what was learned. Its methods may be called by any number of
// goroutines at once, and none but Close ever waits for the disk.
type Store struct {
	path string // "": memory only
	log  Logger // may be nil

	disk   sync.Mutex // held while writing; before mu
	failed bool       // guarded by disk; the last write failed, and that was said

	mu     sync.Mutex
	dests  map[string]*dest    // guarded by mu; by digest
	keys   map[string]*touched // guarded by mu; by digest
	uses   uint64              // guarded by mu; counts them, and orders entries
	dirty  bool                // guarded by mu; memory knows what the file does not
	timer  *time.Timer         // guarded by mu; nil: no write is planned
	due    time.Time           // guarded by mu; when it fires
	closed bool                // guarded by mu
}

type dest struct {
	used     uint64
	sessions int // 0: unknown
	networks map[string]*network
}

type network struct {
	used   uint64
	warmth alive.Warmth
}

type touched struct{ used uint64 }

// Open reads what was learned before; path is a file in a directory of the
// user's own, made if it is missing, and "" keeps everything in memory. It
// never fails: what cannot be read costs one line of log (nil: none), is taken
// as nothing, and is replaced when something was learned. No two processes may
// share a path.
func Open(path string, log Logger) *Store {
	s := &Store{path: path, log: log, dests: map[string]*dest{}, keys: map[string]*touched{}}
	if path == "" {
		return s
	}
	f, err := read(path)
	if err != nil {
		s.warn("what was learned earlier cannot be read and will be replaced", "file", path, "err", err)
		return s
	}
	s.fill(f)
	return s
}

// Warmth returns what was learned of the path from a network to a destination;
// the zero Warmth where nothing was. A destination is named by the hex SHA-256
// of what identifies it, a network by any string.
func (s *Store) Warmth(dest, network string) alive.Warmth {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.dests[digest(dest)]
	if d == nil {
		return alive.Warmth{}
	}
	n := d.networks[networkDigest(dest, network)]
	if n == nil {
		return alive.Warmth{}
	}
	d.used, n.used = s.use(), s.use()
	return n.warmth
}

// SetWarmth keeps what was learned of the path from a network to a destination.
func (s *Store) SetWarmth(dest, net string, w alive.Warmth) {
	w = dated(w)
	s.mu.Lock()
	defer s.mu.Unlock()
	d, key := s.dests[digest(dest)], networkDigest(dest, net)
	if w == (alive.Warmth{}) && (d == nil || d.networks[key] == nil) {
		return // nothing is what is known already
	}
	d = s.dest(dest)
	n := d.networks[key]
	if n == nil {
		n = new(network)
		d.networks[key] = n
	}
	n.used = s.use()
	crowd(d.networks, maxNetworks, func(n *network) uint64 { return n.used })
	old := n.warmth
	n.warmth = w
	if old == w {
		return
	}
	if old.Row = w.Row; old.Interval() == w.Interval() {
		old.Every = w.Every // the first count writes out what held before
	}
	if old == w {
		s.save(someday)
		return
	}
	s.save(soon)
}

// SessionLimit returns how many sessions the server of a destination grants on
// one connection (MaxSessions); 0 is unknown.
func (s *Store) SessionLimit(dest string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.dests[digest(dest)]
	if d == nil {
		return 0
	}
	d.used = s.use()
	return d.sessions
}

// SetSessionLimit keeps it; zero or less makes it unknown again.
func (s *Store) SetSessionLimit(dest string, n int) {
	n = max(n, 0)
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.dests[digest(dest)]; n == 0 && d == nil || d != nil && d.sessions == n {
		return
	}
	s.dest(dest).sessions = n
	s.save(soon)
}

// NeedsTouch reports whether a signature by the key with this fingerprint was
// seen to need a person.
func (s *Store) NeedsTouch(fingerprint string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[keyDigest(fingerprint)]
	if k != nil {
		k.used = s.use()
	}
	return k != nil
}

// SetNeedsTouch keeps that it does.
func (s *Store) SetNeedsTouch(fingerprint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[keyDigest(fingerprint)]
	if k == nil {
		k = new(touched)
		s.keys[keyDigest(fingerprint)] = k
		s.save(soon)
	}
	k.used = s.use()
	crowd(s.keys, maxKeys, func(k *touched) uint64 { return k.used })
}

// Forget forgets all that was learned of a destination, in every network; "" is
// everything, keys too, and a file that could not be read as well.
func (s *Store) Forget(dest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if dest == "" {
		clear(s.dests)
		clear(s.keys)
		s.save(soon)
		return
	}
	if _, known := s.dests[digest(dest)]; known {
		delete(s.dests, digest(dest))
		s.save(soon)
	}
}

// dest returns the entry of a destination, new if need be, as used just now.
// The caller holds mu.
func (s *Store) dest(name string) *dest {
	d := s.dests[digest(name)]
	if d == nil {
		d = &dest{networks: map[string]*network{}}
		s.dests[digest(name)] = d
	}
	d.used = s.use()
	crowd(s.dests, maxDests, func(d *dest) uint64 { return d.used })
	return d
}

// use numbers a use. The caller holds mu.
func (s *Store) use() uint64 {
	s.uses++
	return s.uses
}

// crowd removes the least recently used entries beyond the limit. It looks at
// all of them, which is microseconds and happens only when one is added.
func crowd[V any](m map[string]V, limit int, used func(V) uint64) {
	for len(m) > limit {
		oldest := ""
		for k, v := range m {
			if oldest == "" || used(v) < used(m[oldest]) {
				oldest = k
			}
		}
		delete(m, oldest)
	}
}

// byUse returns the keys of m from the least to the most recently used.
func byUse[V any](m map[string]V, used func(V) uint64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if used(m[a]) < used(m[b]) {
			return -1
		}
		return 1
	})
	return keys
}

func (s *Store) warn(msg string, args ...any) {
	if s.log != nil {
		s.log.Warn(msg, args...)
	}
}
