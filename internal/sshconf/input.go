package sshconf

import "net/netip"

// Version is what Match version compares with: the OpenSSH whose ssh_config
// this package reads.
const Version = "OpenSSH_10.5p1"

// Input is one question: a destination, what the command line said, and the
// facts of the machine and the user, all of which the package would otherwise
// have to ask of a process that is not the client's.
type Input struct {
	// Host is the destination as it was typed, without user and port.
	Host string
	// Options are the flags and -o of the command line. The first wins.
	Options []Setting

	// OwnFile is muxd's own file, read before ssh's: in it, muxd's keywords
	// are welcome. UserFile is ~/.ssh/config and SystemFile
	// /etc/ssh/ssh_config. "" means none, and an absent file is empty.
	OwnFile, UserFile, SystemFile string
	// ConfigFile is the argument of -F. It replaces UserFile and SystemFile,
	// must exist, and may belong to anybody; "none" is no file at all.
	ConfigFile string

	// Home is the user's home directory, LocalUser the login name, LocalHost
	// what gethostname(2) says, UID the numeric user id.
	Home, LocalUser, LocalHost string
	UID                        int
	// Env reads the client's environment; a variable without a value counts
	// as unset. nil is an empty environment.
	Env func(name string) string

	// Exec runs the command of Match exec by the user's shell and reports
	// whether it exited with 0. nil makes every Match exec that is reached
	// an error.
	Exec func(command string) (bool, error)
	// LocalNetwork reports whether an address of an interface that is up lies
	// in one of the networks of Match localnetwork. nil makes every
	// such Match an error.
	LocalNetwork func(nets []netip.Prefix) (bool, error)

	// Lookup resolves a host name for CanonicalizeHostname. network is ip, ip4
	// or ip6, by AddressFamily; a name that ends in a dot is complete, and
	// another is looked up by the system's search rules. It reports whether
	// the name has an address, and its canonical name, "" if that is not known.
	// An error ends Resolve; a name server that fails is a no to ssh, which
	// then tries the next domain. nil makes it an error to need an answer.
	Lookup func(network, name string) (cname string, found bool, err error)

	// Command is the remote command of the command line.
	Command string
	// SessionType is none for -N, subsystem for -s, and else "". It comes
	// before Options.
	SessionType string
	// StdioForward says that there is a -W, which changes some defaults.
	StdioForward bool
}

// Setting is one keyword with its value from the command line.
type Setting struct {
	Keyword string
	Value   string // what a file would have behind the keyword, with quotes
	// Origin is the file that errors name; "" is "command-line", as in ssh.
	Origin string
	// Literal says that Value is one argument and has no quotes to remove, as
	// the argument of a flag (-i, -l, -L) has. A forward is then in the form of
	// -L, -R or -D, and a User is not expanded.
	Literal bool
}

// commandLine is what ssh calls the place of a bad -o.
const commandLine = "command-line"

// ParseOption reads the argument of -o: "Keyword value" or "Keyword=value". A
// blank one and a comment yield a Setting without a Keyword, which Resolve
// passes over, as ssh does. Whether the keyword exists is for Resolve to
// say, since IgnoreUnknown decides it.
func ParseOption(s string) (Setting, error) {
	keyword, rest := cutKeyword(s)
	if keyword != "" && rest == "" {
		return Setting{}, fatalf("%s line 0: no argument after keyword %q", commandLine, keyword)
	}
	return Setting{Keyword: keyword, Value: rest, Origin: commandLine}, nil
}
