package master

import (
	"path"
	"slices"
	"strings"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshconf"
)

// Who types waits behind the megabytes of a transfer that has the same
// connection. So a transfer and a shell have a connection each, where a further
// one is to be had without a person: transfers that are known as such before they
// begin go to one that is kept for them, and a shell that would meet one that has
// proved to be big is given another.
//
// None waits long for that, and none where it is known that a login takes long: a
// transfer that nobody's shell would feel begins where it is, and so does one for
// which there is no connection soon. A channel cannot move, so what was begun
// stays; what comes next finds the connection that was made meanwhile.

const (
	// ownSoon is how long a transfer or a shell waits for a connection of its own:
	// less than it takes to become impatient, and enough for a login nearby.
	ownSoon = 500 * time.Millisecond
	// ownDeclared is how long a transfer waits that says that it is one (Bulk yes).
	ownDeclared = 5 * time.Second
	// bulkMost is how many connections are kept for transfers. A second one helps
	// where one connection cannot fill the path, or one process of the server's the
	// processor.
	bulkMost = 2
	// moverFor is how long a client is remembered that moved so much: its next
	// session will do the same.
	moverFor = 10 * time.Minute
	// mostMovers bounds these clients. Each is one at most by what it moved.
	mostMovers = 64
)

// class says what a session does to others on its connection, or takes from them.
type class int

const (
	plain    class = iota // a command
	shell                 // has a terminal
	likely                // a command of a client that moved much just now
	transfer              // known as one by what it runs
	declared              // said to be one (Bulk yes)

	classCount
)

func (c class) bulk() bool { return c >= likely }

// classOf is the class of a session by what is known before it begins. Nothing on
// a terminal is a transfer: whoever types there waits for it anyway.
func classOf(d *dest.Destination, r *control.SessionRequest) class {
	says := d.Conf.Bulk()
	switch {
	case r.TTY != nil:
		return shell
	case says == sshconf.Yes:
		return declared
	case says != sshconf.No && transfers(r.Kind, r.Command):
		return transfer
	}
	return plain
}

// transfers knows the server's side of scp, sftp, rsync and git.
func transfers(kind control.SessionKind, command string) bool {
	switch kind {
	case control.Subsystem:
		return command == "sftp"
	case control.Shell:
		return false
	}
	words := strings.Fields(command)
	for len(words) > 0 && slices.Contains([]string{"sudo", "doas", "exec", "nice", "command"}, words[0]) { // rsync --rsync-path="sudo rsync"
		words = words[1:]
	}
	if len(words) == 0 {
		return false
	}
	name, args := path.Base(strings.Trim(words[0], `'"`)), words[1:]
	has := func(options ...string) bool {
		return slices.ContainsFunc(args, func(a string) bool { return slices.Contains(options, a) })
	}
	switch name {
	case "scp":
		return has("-t", "-f")
	case "rsync":
		return has("--server")
	case "git":
		return has("upload-pack", "receive-pack", "upload-archive")
	case "sftp-server", "git-upload-pack", "git-receive-pack", "git-upload-archive":
		return true
	}
	return false
}

// cost is how badly l suits w, beside others that suit it too: 0 is best. Called in run.
func (h *host) cost(l *link, w *waiter) int {
	n, moving := 0, 0
	for c := likely; c < classCount; c++ {
		moving += l.classes[c]
	}
	if w.class.bulk() {
		if l.classes[shell] > 0 {
			n += 1000
		}
		if !l.bulk.Load() {
			n += bulkMost + 1 // the last to be taken, while nobody types there
		}
		return n + moving
	}
	if l != h.current {
		n++
	}
	if l.bulk.Load() {
		n += 2
	}
	if w.class == shell && l.Heavy(0) {
		n += 1000
	}
	return n
}

// waitsForOwn reports whether w, for which l is the best that there is, is to wait
// for a connection of its own, and has one be dialled if that is in place. It is
// decided once for each. Called in run.
func (h *host) waitsForOwn(w *waiter, l *link) bool {
	now := time.Now()
	if w.until.IsZero() {
		w.until = now
		if patience, wants := h.wantsOwn(w, l); wants && h.dialOwn(w) {
			w.until = h.dialing.began.Add(patience)
			time.AfterFunc(time.Until(w.until), func() { h.post(func() {}) })
		}
	}
	return now.Before(w.until) && h.dialing != nil && h.dialing.purpose == forOwn
}

// wantsOwn reports whether w would rather not be on l, and how long a connection
// without the others there is worth waiting for.
func (h *host) wantsOwn(w *waiter, l *link) (patience time.Duration, wants bool) {
	soon := ownSoon
	if h.loginTook > soon {
		soon = 0 // in vain
	}
	typed, bulk := l.classes[shell] > 0, l.bulk.Load()
	switch w.class {
	case shell:
		return soon, l.Heavy(0)
	case declared:
		return ownDeclared, !bulk
	case transfer:
		if typed && !bulk {
			return soon, true
		}
	case likely:
		if typed && !bulk {
			return 0, true
		}
	default:
		return 0, false
	}
	return 0, l.Heavy(0) // more than one connection may move more
}

// dialOwn has a connection for w be dialled, if one is to be had, and reports
// whether one is under way.
func (h *host) dialOwn(w *waiter) bool {
	if d := h.dialing; d != nil {
		return d.purpose == forOwn && d.bulk == w.class.bulk()
	}
	if !h.mayGrow() || h.places.denied != nil || h.loginAsks() {
		return false
	}
	kept := 0
	for l := range h.links {
		if l.Usable() && l.bulk.Load() {
			kept++
		}
	}
	if w.class.bulk() && kept >= bulkMost {
		return false
	}
	h.log.Info("dialling a further connection", "for transfers", w.class.bulk())
	h.dial(w.dest, forOwn).bulk = w.class.bulk()
	return true
}

// loginAsks reports that a person logged in on the newest connection, and would be
// needed for another one. Other logins that need one are found out by trying.
func (h *host) loginAsks() bool {
	return h.newest != nil && (strings.Contains(h.newest.Auth, "password") || strings.Contains(h.newest.Auth, "keyboard-interactive"))
}

// mover reports a client that moved much a moment ago, or does now. Called in run.
func (h *host) mover(client int) bool {
	if client == 0 {
		return false
	}
	if at, ok := h.movers[client]; ok && time.Since(at) < moverFor {
		return true
	}
	for l := range h.links {
		if l.Heavy(client) {
			return true
		}
	}
	return false
}

// moved should be posted when a session of that client ends which has moved much.
func (h *host) moved(client int) {
	if client == 0 {
		return
	}
	for c, at := range h.movers {
		if time.Since(at) >= moverFor {
			delete(h.movers, c)
		}
	}
	if len(h.movers) < mostMovers {
		h.movers[client] = time.Now()
	}
}
