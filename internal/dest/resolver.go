// Package dest says what a command line asks for: ssh's options and the
// configuration's files in, out comes a Destination, with the way to it through
// jump hosts, and the plan of what to open there. What decides here is ssh.c
// (main), readconf.c and ssh_config(5); what differs is in docs/deviations.md.
//
// It decides and does nothing: no connection is made to the destination, and
// nothing is remembered from one request to the next, so that a file is read as
// it is now. What runs is what the configuration asks for while it is read
// (Match exec, by the client), the look-ups of CanonicalizeHostname, and one look
// whether somebody listens on a ControlPath of the command line.
//
//	argv ──► getopt ──► commandLine ──► sshconf ──► Destination ──► control.Plan
//	                    settings        once for the host, once for each jump host
//
// Two destinations with the same Key share a connection. What a request wants
// for itself alone (its patience, its agent, its keepalive, -v) is in the
// Destination too and not in the key.
package dest

import (
	"context"

	"muxd/control"
)

// Resolver finds out what a command line asks for. Its fields are not changed
// while it is in use; any number of goroutines may use it.
type Resolver struct {
	Home string // the home directory by the password database; required
	User string // the local user's name; required
	// UserFile and SystemFile are ssh's configuration files; "" means
	// Home/.ssh/config and /etc/ssh/ssh_config. OwnFile is muxd's own; "" is the
	// one that the client's environment says.
	UserFile, SystemFile, OwnFile string
	// Lookup resolves a name for CanonicalizeHostname; nil is the system's
	// resolver. network is ip, ip4 or ip6.
	Lookup func(ctx context.Context, network, name string) (cname string, found bool, err error)
	// Door is the destination for which this muxd serves a ControlPath, nil if it
	// does not; a nil Door never does.
	Door func(path string) control.Destination
	// DoorDir is the directory of the ControlPaths that -O prepare may have
	// served; "": none.
	DoorDir string
}
