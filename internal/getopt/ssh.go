package getopt

import "errors"

// SSH lists the options of ssh 10.5 for Parse (ssh.c, main). Older releases
// have fewer and give none of the letters another meaning.
const SSH = "1246ACGKMNTVXYZafgknqstvxy" +
	"B:D:E:F:I:J:L:O:P:Q:R:S:W:b:c:e:i:l:m:o:p:w:"

// CommandLine is ssh's command line taken apart.
type CommandLine struct {
	Options     []Option // before and behind the destination, in order
	Destination string   // as given, for SplitDestination; "" only with -V or -Q
	Command     []string // the words behind it, as given; ssh joins them by spaces
}

// ErrNoDestination is returned for a command line that names no host.
var ErrNoDestination = errors.New("no destination: name a host, as in muxc user@host")

// ParseSSH reads the arguments of ssh, without the name of the program:
// options, the destination, options again, and from the first word that is no
// option the command. A "--" before the destination makes everything behind it
// the command; one behind the destination only ends the options.
//
// At -V or -Q it stops, as ssh does, which answers those at once: what follows
// is not looked at and no destination is needed. Other errors are about the
// words only; that options contradict each other is found by whoever knows
// what they mean.
func ParseSSH(args []string) (*CommandLine, error) {
	opts, rest, err := Parse(SSH, args)
	if answered(&opts) {
		return &CommandLine{Options: opts}, nil
	}
	if err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		return nil, ErrNoDestination
	}
	c := &CommandLine{Options: opts, Destination: rest[0], Command: rest[1:]}
	if c.Destination == "" {
		return nil, errors.New("the destination is an empty word: a variable without a value?")
	}
	if terminated(args, rest) {
		return c, nil
	}
	more, command, err := Parse(SSH, c.Command)
	if answered(&more) {
		return &CommandLine{Options: append(opts, more...)}, nil
	}
	if err != nil {
		return nil, err
	}
	c.Options, c.Command = append(opts, more...), command
	return c, nil
}

// answered cuts opts behind the first -V or -Q and reports that there is one.
func answered(opts *[]Option) bool {
	for i, o := range *opts {
		if o.Name == 'V' || o.Name == 'Q' {
			*opts = (*opts)[:i+1]
			return true
		}
	}
	return false
}

// terminated reports that the word before rest is "--". As in ssh that is also
// true of an option's value that happens to be "--" (ssh -l -- host -v runs the
// command -v): whoever relies on it gets what ssh gives.
func terminated(args, rest []string) bool {
	n := len(args) - len(rest)
	return n > 0 && args[n-1] == "--"
}
