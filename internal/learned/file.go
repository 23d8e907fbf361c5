package learned

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"muxd/alive"
)

const (
	format  = "muxd-learned"
	version = 1

	// maxFile is more than a full file ever has; what is longer is no file
	// of ours, and reading it would only cost memory.
	maxFile = 8 << 20
)

// file is the schema, see the package comment.
type file struct {
	Format  string     `json:"format"`
	Version int        `json:"version"`
	Dests   []destJSON `json:"destinations,omitempty"`
	Keys    []string   `json:"touch_keys,omitempty"`
}

type destJSON struct {
	Dest     string        `json:"dest"`
	Sessions int           `json:"max_sessions,omitempty"`
	Networks []networkJSON `json:"networks,omitempty"`
}

type networkJSON struct {
	Network string       `json:"network"`
	Warmth  alive.Warmth `json:"warmth"`
}

// read returns the content of a file of ours; a file that does not exist is an
// empty one.
func read(path string) (file, error) {
	var f file
	// Non-blocking, so that a FIFO in its place keeps nobody waiting.
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	defer r.Close()
	switch info, err := r.Stat(); {
	case err != nil:
		return f, err
	case !info.Mode().IsRegular():
		return f, errors.New("not a regular file")
	}
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return f, err
	}
	if len(b) > maxFile {
		return f, errors.New("too long")
	}
	// The version first: the rest of a newer file may not even fit our types.
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return f, fmt.Errorf("damaged: %w", err)
	}
	if head.Format != format {
		return f, errors.New("another program's file")
	}
	if head.Version != version {
		return f, fmt.Errorf("version %d, this muxd knows %d", head.Version, version)
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fmt.Errorf("damaged: %w", err)
	}
	return f, nil
}

// fill takes over what a file says, as far as we could have written it: names
// are digests, and of each list the bound's worth that was used last.
func (s *Store) fill(f file) {
	for _, d := range last(f.Dests, maxDests) {
		if !isHex(d.Dest, sha256.Size) {
			continue
		}
		e := &dest{used: s.use(), sessions: max(d.Sessions, 0), networks: map[string]*network{}}
		for _, n := range last(d.Networks, maxNetworks) {
			if isHex(n.Network, shortDigest) {
				e.networks[n.Network] = &network{s.use(), dated(n.Warmth)}
			}
		}
		s.dests[d.Dest] = e
	}
	for _, k := range last(f.Keys, maxKeys) {
		if isHex(k, shortDigest) {
			s.keys[k] = &touched{s.use()}
		}
	}
}

// content is what fill would take over. The caller holds mu.
func (s *Store) content() file {
	f := file{Format: format, Version: version}
	for _, name := range byUse(s.dests, func(d *dest) uint64 { return d.used }) {
		d := s.dests[name]
		j := destJSON{Dest: name, Sessions: d.sessions}
		for _, n := range byUse(d.networks, func(n *network) uint64 { return n.used }) {
			j.Networks = append(j.Networks, networkJSON{n, d.networks[n].warmth})
		}
		f.Dests = append(f.Dests, j)
	}
	f.Keys = byUse(s.keys, func(k *touched) uint64 { return k.used })
	return f
}

// dated returns w as the file gives it back: JSON has no monotonic reading, no
// zone's name, and refuses with an error a year of five digits, which would
// keep everything else from being written.
func dated(w alive.Warmth) alive.Warmth {
	w.LostAt = w.LostAt.UTC().Round(0)
	if y := w.LostAt.Year(); y < 0 || y > 9999 {
		w.LostAt = time.Time{}
	}
	return w
}

func last[E any](all []E, n int) []E { return all[max(len(all)-n, 0):] }

// shortDigest is the length in bytes of a digest that nobody else computes.
const shortDigest = 16

// digest returns the name of a destination as it is kept: as it came if that is
// a digest already, else one, so that no caller's mistake puts a host name
// into the file.
func digest(dest string) string {
	if isHex(dest, sha256.Size) {
		return dest
	}
	sum := sha256.Sum256([]byte(dest))
	return hex.EncodeToString(sum[:])
}

// networkDigest hashes the destination in, so that the file does not tell which
// destinations were used from the same network.
func networkDigest(dest, network string) string { return short(digest(dest) + "\x00" + network) }

func keyDigest(fingerprint string) string { return short("key\x00" + fingerprint) }

func short(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:shortDigest])
}

// isHex reports whether s is n bytes in lower-case hex.
func isHex(s string, n int) bool {
	if len(s) != 2*n {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
