package sshconf

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"syscall"
)

// Stamp identifies the state of every file that was read, or looked for, to
// answer: its path, device, inode, size and time of change. Two answers to the
// same question with the same Stamp come from the same files, unless somebody
// sets back the clock or the time of a file; what Exec, LocalNetwork, Lookup and
// the environment said is not part of it.
func (c *Config) Stamp() string { return c.stamp }

// stamps are the identities of files in the order of reading. The second pass
// adds nothing, or the sign that a file changed between the passes.
type stamps []string

func (s *stamps) add(path string, info os.FileInfo) {
	id := fmt.Sprintf("%q %d %d", path, info.Size(), info.ModTime().UnixNano())
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		id += fmt.Sprintf(" %d %d", st.Dev, st.Ino)
	}
	s.put(id)
}

func (s *stamps) missing(path string, err error) { s.put(fmt.Sprintf("%q %v", path, err)) }

func (s *stamps) put(id string) {
	if !slices.Contains(*s, id) {
		*s = append(*s, id)
	}
}

// sum is short whatever the number of files: 128 bits are beyond accident.
func (s stamps) sum() string {
	h := sha256.New()
	for _, id := range s {
		fmt.Fprintln(h, id)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
