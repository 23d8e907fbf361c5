package master

import (
	"muxd/control"
	"muxd/internal/dest"
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

// supersede retires the host that d's words led to before the configuration
// changed, and tells so.
func (m *Master) supersede(d *dest.Destination, p control.Prompter) {
	h := m.superseded(d)
	if h == nil {
		return
	}
	h.log.Info("the configuration changed, retired")
	h.post(h.dismiss)
	m.moveForwards(h, d)
	d.Debugf(p, 1, "the configuration of %s changed: this is another connection, and the one from before takes no more sessions", d.Name)
}

func (m *Master) superseded(d *dest.Destination) *host {
	if d.Alone != "" { // it leads nobody anywhere
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, known := m.lineages[d.Words]
	if !known && len(m.lineages) >= maxLineages {
		m.forgetSome()
	}
	m.lineages[d.Words] = lineage{d.Key, d.Stamp}
	if !known || old.key == d.Key || old.stamp == d.Stamp {
		return nil
	}
	for _, l := range m.lineages {
		if l.key == old.key && l.stamp == d.Stamp {
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
