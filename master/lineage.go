package master

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"muxd/control"
)

// What a person typed means another connection once the configuration changed.
// The one from before the change is then of no use to anybody who types the
// same: it takes no new work, and ends with what it carries. A difference that
// does not come from the files (another -o, another environment) makes another
// connection too, and both stay.

// lineage is where the same words led the last time.
type lineage struct {
	key   string // of the host
	stamp string // of the configuration
}

// shaping are the keywords of the command line that change which connection is
// meant, beside those that are part of its key.
var shaping = []string{"user", "port", "hostname", "identityfile", "certificatefile", "identityagent", "userknownhostsfile", "stricthostkeychecking", "tag"}

// words names what was typed, as far as it says which connection is meant.
func (c *commandLine) words(name string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q", name, c.configFile)
	for _, s := range c.settings {
		if k := strings.ToLower(s.Keyword); slices.Contains(shaping, k) || slices.Contains(keyed, k) {
			fmt.Fprintf(h, " %s %q", k, s.Value)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// supersede retires the host that d's words led to before the configuration
// changed, and tells so.
func (m *Master) supersede(d *destination, p control.Prompter) {
	h := m.superseded(d)
	if h == nil {
		return
	}
	h.log.Info("the configuration changed, retired")
	h.post(h.dismiss)
	debugf(p, d, 1, "the configuration of %s changed: this is another connection, and the one from before takes no more sessions", d.name)
}

func (m *Master) superseded(d *destination) *host {
	if d.alone != "" { // it leads nobody anywhere
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, known := m.lineages[d.words]
	if !known && len(m.lineages) >= maxLineages {
		m.forgetSome()
	}
	m.lineages[d.words] = lineage{d.key, d.stamp}
	if !known || old.key == d.key || old.stamp == d.stamp {
		return nil
	}
	for _, l := range m.lineages {
		if l.key == old.key && l.stamp == d.stamp {
			return nil // other words still lead there, by the configuration as it is now
		}
	}
	return m.hosts[old.key]
}

// maxLineages bounds what is remembered of the words that led to hosts that are
// not forgotten: a program may call with another -F every time.
const maxLineages = 4096

// forgetSome makes room. What was dropped costs a connection that is left to
// its expiry although the configuration changed. Called with mu held.
func (m *Master) forgetSome() {
	left := maxLineages / 8
	for words := range m.lineages {
		if left--; left < 0 {
			return
		}
		delete(m.lineages, words)
	}
}

// forgetLineage drops what led to a host that is forgotten. Called with mu held.
func (m *Master) forgetLineage(key string) {
	for words, l := range m.lineages {
		if l.key == key {
			delete(m.lineages, words)
		}
	}
}
