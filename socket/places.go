package socket

import (
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Places lists every place from which a muxd of this user may be serving, the
// best first:
//
//   - $MUXD_SOCKET alone, where it is set: the path of the socket itself;
//   - $XDG_RUNTIME_DIR/muxd, if the variable is absolute and names a
//     directory of ours with mode 0700 (after su it names somebody else's);
//   - /run/user/UID/muxd, on Linux;
//   - /tmp/muxd-UID;
//   - muxd-HASH in $XDG_STATE_HOME or ~/.local/state.
//
// The home is the password database's, since $HOME may differ between two
// shells of one user, who would then have two daemons. HASH is of the host's
// name: homes are shared between machines, sockets are not.
func Places(getenv func(string) string) []Place {
	return slices.Collect(places(getenv))
}

// places is Places one at a time: the client that finds its muxd in the first
// place, as nearly all do, neither reads the password file nor asks for the
// host's name.
func places(getenv func(string) string) iter.Seq[Place] {
	return func(yield func(Place) bool) {
		if path := getenv("MUXD_SOCKET"); path != "" {
			yield(At(path))
			return
		}
		uid := strconv.Itoa(os.Geteuid())
		runtime := runtimeDir(getenv)
		if runtime != "" && !yield(in(filepath.Join(runtime, "muxd"))) {
			return
		}
		if std := runUser + uid; runUser != "" && std != runtime && !yield(in(filepath.Join(std, "muxd"))) {
			return
		}
		if !yield(in("/tmp/muxd-" + uid)) {
			return
		}
		if p, ok := statePlace(getenv); ok {
			yield(p)
		}
	}
}

func in(dir string) Place { return Place{Dir: dir, Name: socketName} }

// runtimeDir is $XDG_RUNTIME_DIR if it is what the XDG specification says it
// must be, else "".
func runtimeDir(getenv func(string) string) string {
	dir := getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		return ""
	}
	dir = filepath.Clean(dir)
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil || judge(dir, &st) != nil {
		return ""
	}
	return dir
}

// statePlace is the last resort, for machines without a runtime directory
// whose /tmp cannot be written to.
func statePlace(getenv func(string) string) (Place, bool) {
	base, anchor := getenv("XDG_STATE_HOME"), "/"
	if !filepath.IsAbs(base) {
		home := homeOf(uint32(os.Geteuid()))
		if home == "" {
			home = getenv("HOME") // users of LDAP are not in the password file
		}
		if !filepath.IsAbs(home) {
			return Place{}, false
		}
		base, anchor = filepath.Join(home, ".local", "state"), home
	}
	p := in(filepath.Join(base, "muxd-"+hostHash()))
	p.anchor = anchor
	return p, true
}

// hostHash tells apart the machines that share a home. Nobody gains by a
// collision, so it need not be a cryptographic hash, whose packages cost the
// client start-up time; 48 bits keep a thousand machines apart.
func hostHash() string {
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return fmt.Sprintf("%012x", h.Sum64()&(1<<48-1))
}

// Choose is where a new muxd serves: the first of Places that Prepare accepts.
//
// A place that is missing and cannot be made is passed over: every client and
// every daemon of this user passes it over likewise. One that is there but
// unsound is refused and ends the search. Going on would hide from the user
// that somebody squats on his directory, and once the squatter leaves, the
// next daemon would settle there beside the one that is running elsewhere. The
// price is that whoever makes /tmp/muxd-UID first keeps muxd from starting on
// a machine without runtime directories; the error names him and the way out.
// $MUXD_SOCKET is an order: where it cannot be used, nothing else is.
//
// The error is an *UnsoundError, or says of every place why it will not do.
func Choose(getenv func(string) string) (Place, error) { return choose(places(getenv)) }

func choose(candidates iter.Seq[Place]) (Place, error) {
	var causes []error
	for p := range candidates {
		err := p.Prepare()
		if err == nil {
			return p, nil
		}
		if _, ok := errors.AsType[*UnsoundError](err); ok {
			return Place{}, err
		}
		causes = append(causes, err)
	}
	return Place{}, fmt.Errorf("no place for the socket: %w", errors.Join(causes...))
}
