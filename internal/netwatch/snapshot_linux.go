package netwatch

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// tables is what the kernel says, before it is judged.
type tables struct {
	links     map[uint32]link
	addresses []address
	routes    []route
	rules     [][]byte
}

// look takes a snapshot.
func look() (snapshot, error) {
	t, err := readTables()
	if err != nil {
		return snapshot{}, err
	}
	return t.snapshot(), nil
}

// readTables reads again what changed under its hand; a table that never
// stands still is taken as it is, for there will be another notice.
func readTables() (t tables, err error) {
	a, err := newAsker()
	if err != nil {
		return t, err
	}
	defer a.close()
	for range 3 {
		a.torn = false
		if t, err = a.tables(); err != nil || !a.torn {
			break
		}
	}
	return t, err
}

func (a *asker) tables() (t tables, err error) {
	if err := a.linksAndAddresses(&t); err != nil {
		return t, err
	}
	err = a.dump(unix.RTM_GETROUTE, make([]byte, unix.SizeofRtMsg), func(_ uint16, b []byte) {
		if r, ok := parseRoute(b); ok && r.relevant() {
			t.routes = append(t.routes, r)
		}
	})
	if err != nil {
		return t, err
	}
	// A kernel may have been built without rules, and then says so: no error.
	a.dump(unix.RTM_GETRULE, make([]byte, unix.SizeofRtMsg), func(_ uint16, b []byte) {
		t.rules = append(t.rules, slices.Clone(b))
	})
	return t, nil
}

func (a *asker) linksAndAddresses(t *tables) error {
	t.links = make(map[uint32]link)
	err := a.dump(unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg), func(_ uint16, b []byte) {
		if l, ok := parseLink(b); ok {
			t.links[l.index] = l
		}
	})
	if err != nil {
		return err
	}
	return a.dump(unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), func(_ uint16, b []byte) {
		if a, ok := parseAddress(b); ok && outward(a.prefix.Addr()) {
			t.addresses = append(t.addresses, a)
		}
	})
}

// inner are the links that lead into this machine only: bridges of containers
// and virtual machines, and the near ends of the cables into them. They come
// and go and get and lose their carrier with what runs in there, and no
// connection to anywhere else notices. A bridge that is the way out has a
// route that says so; a cable's end with an address is one's own.
func (t *tables) inner() map[uint32]bool {
	uplink, addressed := make(map[uint32]bool), make(map[uint32]bool)
	for _, r := range t.routes {
		if !r.uplink() {
			continue
		}
		uplink[r.link] = true
		for _, l := range r.more {
			uplink[l] = true
		}
	}
	for _, a := range t.addresses {
		addressed[a.link] = true
	}
	in := make(map[uint32]bool)
	for i, l := range t.links {
		in[i] = !uplink[i] && (l.kind == "bridge" || l.kind == "veth" && !addressed[i])
	}
	return in
}

func (t *tables) snapshot() (s snapshot) {
	inner, used := t.inner(), make(map[uint32]bool)
	for _, a := range t.addresses {
		if a.ready && !inner[a.link] {
			used[a.link] = true
			s.add("address %v on %s", a.prefix, t.name(a.link))
		}
	}
	for _, r := range t.routes {
		if inner[r.link] {
			continue
		}
		if r.isDefault() {
			used[r.link] = true
			for _, l := range r.more {
				used[l] = true
			}
			s.add("default route in table %d, metric %d, by %s", r.table, r.metric, t.way(r))
		}
		s.mix(r.identity)
	}
	for _, rule := range t.rules {
		s.mix(rule)
	}
	for i := range used {
		// How often it came up, too: a link that went down and up between two
		// looks may lead elsewhere now.
		if l, ok := t.links[i]; ok {
			s.add("link %s, usable %v, up %d times", l.name, l.usable(), l.carrier)
		}
	}
	s.sort()
	return s
}

func (t *tables) name(i uint32) string {
	if l, ok := t.links[i]; ok {
		return l.name
	}
	return fmt.Sprintf("link %d", i)
}

func (t *tables) way(r route) string {
	if !r.gateway.IsValid() {
		return t.name(r.link)
	}
	return fmt.Sprintf("%v on %s", r.gateway, t.name(r.link))
}
