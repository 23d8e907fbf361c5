package getopt

import (
	"fmt"
	"strings"
)

// Option is one option as it stood on the command line. Options keep their
// order, because for ssh the first -l wins, -o Foo may depend on an earlier
// one, and -t -t is not -t.
type Option struct {
	Name  byte   // the letter
	Value string // "" for an option without a value
}

// Parse reads the options at the start of args, which does not include the
// name of the program, by POSIX's rules: letters may be clustered (-vtt), a
// value may be attached (-p22) or be the next word, whatever that looks like,
// "--" ends the options and is dropped, and a word that is no option, the lone
// "-" included, ends them too. optstring lists the letters, those that take a
// value followed by a colon.
//
// rest is a part of args: everything behind the options. On an error, which
// names the option, opts holds those that were read before it.
func Parse(optstring string, args []string) (opts []Option, rest []string, err error) {
	for len(args) > 0 {
		word := args[0]
		if len(word) < 2 || word[0] != '-' {
			break
		}
		args = args[1:]
		if word == "--" {
			break
		}
		if opts, args, err = cluster(optstring, opts, word[1:], args); err != nil {
			break
		}
	}
	return opts, args, err
}

// cluster reads the letters of one word. The first option that takes a value
// takes what is left of the word, or else the next one.
func cluster(optstring string, opts []Option, letters string, next []string) ([]Option, []string, error) {
	for i := 0; i < len(letters); i++ {
		name := letters[i]
		at := strings.IndexByte(optstring, name)
		switch {
		case at < 0 || name == ':':
			return opts, next, unknown(name, letters)
		case !takesValue(optstring, at):
			opts = append(opts, Option{Name: name})
		case i+1 < len(letters):
			return append(opts, Option{name, letters[i+1:]}), next, nil
		case len(next) == 0:
			return opts, next, fmt.Errorf("option -%c needs a value, and nothing follows it", name)
		default:
			return append(opts, Option{name, next[0]}), next[1:], nil
		}
	}
	return opts, next, nil
}

func takesValue(optstring string, at int) bool {
	return at+1 < len(optstring) && optstring[at+1] == ':'
}

// unknown quotes what was typed, since it may be anything, and says of a long
// option what somebody used to other programs cannot know.
func unknown(name byte, letters string) error {
	if name == '-' && letters[0] == '-' {
		return fmt.Errorf("unknown option %q: ssh has no long options, write a keyword as -o Keyword=value", "-"+letters)
	}
	if word := "-" + letters; len(letters) > 1 {
		return fmt.Errorf("unknown option %q in %q", "-"+string(rune(name)), word)
	}
	return fmt.Errorf("unknown option %q", "-"+letters)
}
