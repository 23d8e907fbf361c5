package getopt

import (
	"errors"
	"fmt"
	"strings"
)

// What may not stand in a name, besides control characters. The two differ: a
// Windows user is DOMAIN\user, and a user's name may hold a dollar, a comma
// or a space (readconf.c, ssh_valid_hostname and ssh_valid_ruser).
const (
	hostMeta = "'`\"$\\;&<>|(){}, "
	userMeta = "'`\";&<>|(){}"
)

// ValidHost refuses host names that a shell or an option parser would take for
// something else; the error quotes the name. OpenSSH's rule is
// ssh_valid_hostname. It is to be asked again whenever a name was computed,
// for instance by HostName %h.example.org: a configuration is expanded after
// the command line was checked. Unlike OpenSSH's it also refuses the empty
// name, which some resolvers take for this very machine.
func ValidHost(s string) error {
	switch {
	case s == "":
		return errors.New("the host name is empty")
	case s[0] == '-':
		return fmt.Errorf("host name %q begins with a hyphen, so programs would take it for an option", s)
	}
	return refuse("host", s, hostMeta)
}

// ValidUser is ValidHost for the name to log in as (ssh_valid_ruser). A space
// is allowed, but not before a hyphen, and a backslash, but not at the end. The
// empty name passes: it is how callers say that no user was named.
func ValidUser(s string) error {
	switch {
	case s == "":
		return nil
	case s[0] == '-' || strings.Contains(s, " -"):
		return fmt.Errorf("user name %q has a hyphen where programs would take it for an option", s)
	case s[len(s)-1] == '\\':
		return fmt.Errorf("user name %q ends in a backslash, which would quote what follows it", s)
	}
	return refuse("user", s, userMeta)
}

func refuse(what, s, meta string) error {
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20 || c == 0x7f:
			return fmt.Errorf("%s name %q holds a control character", what, s)
		case strings.IndexByte(meta, c) >= 0:
			return fmt.Errorf("%s name %q holds %q, which a shell would act on", what, s, c)
		}
	}
	return nil
}
