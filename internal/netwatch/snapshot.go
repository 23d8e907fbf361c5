package netwatch

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// snapshot is what of the network can matter to a connection. No lifetimes, no
// counters of traffic, nothing of link scope.
type snapshot struct {
	// parts are lines such as "address 192.0.2.7/24 on eth0", sorted: the
	// addresses, the default routes, and the state of the links in use.
	parts []string
	// digest stands for every other route and rule, in any order. There may be
	// a million of them.
	digest uint64
}

func (s *snapshot) add(format string, args ...any) {
	s.parts = append(s.parts, fmt.Sprintf(format, args...))
}

// mix adds one line to the digest. A sum does not ask in which order the kernel
// lists; unlike with exclusive or, a line that is there twice still counts.
func (s *snapshot) mix(line []byte) {
	h := fnv.New64a()
	h.Write(line)
	s.digest += h.Sum64()
}

func (s *snapshot) sort() { slices.Sort(s.parts) }

// diff says in one line what o has or lacks that s has not or has; "" if
// nothing.
func (s snapshot) diff(o snapshot) string {
	var words []string
	for i, j := 0, 0; i < len(s.parts) || j < len(o.parts); {
		switch {
		case i == len(s.parts):
			words = append(words, "+"+o.parts[j])
			j++
		case j == len(o.parts):
			words = append(words, "-"+s.parts[i])
			i++
		default:
			switch c := cmp.Compare(s.parts[i], o.parts[j]); {
			case c < 0:
				words = append(words, "-"+s.parts[i])
				i++
			case c > 0:
				words = append(words, "+"+o.parts[j])
				j++
			default:
				i, j = i+1, j+1
			}
		}
	}
	if s.digest != o.digest {
		words = append(words, "other routes or rules")
	}
	return strings.Join(words, ", ")
}
