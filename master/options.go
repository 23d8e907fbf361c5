package master

import (
	"errors"
	"fmt"
	"strings"

	"muxd/internal/getopt"
	"muxd/internal/sshconf"
)

// commandLine is ssh's command line, sorted: what is a configuration keyword in
// another spelling, and what is not.
type commandLine struct {
	settings   []sshconf.Setting
	configFile string // -F, "" if not given
	control    string // -O
	subsystem  bool   // -s
	verbose    int    // -v
	requestTTY string // what -t, -T and -o RequestTTY come to, "" if there was none
	dir        string // the client's working directory
}

// keywordOf are the options that are a keyword with the option's value.
var keywordOf = map[byte]string{
	'B': "BindInterface", 'J': "ProxyJump", 'b': "BindAddress", 'c': "Ciphers", 'e': "EscapeChar", 'i': "IdentityFile",
	'l': "User", 'm': "MACs", 'p': "Port", 'P': "Tag",
}

// valueOf are the options that set a keyword to a value.
var valueOf = map[byte][2]string{
	'4': {"AddressFamily", "inet"}, '6': {"AddressFamily", "inet6"}, 'C': {"Compression", "yes"},
	'n': {"StdinNull", "yes"}, 'q': {"LogLevel", "QUIET"},
}

// silent are the options whose absence changes nothing here, as in an ssh that
// has nothing to forward: -a, -k and -x refuse what nobody asked for, -g is
// about forwards, -1 and -2 are history, -y sends the log to syslog.
const silent = "agkxy12"

// carried are the options that add carries out itself. V never comes here.
const carried = "oFOstTvV"

// notYet are the options that a person gives because they matter, and that are
// not carried out: doing without them silently would be wrong.
var notYet = map[byte]string{
	'A': "agent forwarding", 'D': "dynamic forwarding", 'E': "a log file", 'f': "going to the background",
	'G': "printing the configuration", 'I': "PKCS#11", 'K': "GSSAPI", 'L': "local forwarding",
	'M': "a ControlMaster of ssh's kind", 'N': "a connection without a command", 'Q': "queries",
	'R': "remote forwarding", 'S': "a ControlPath", 'W': "stdio forwarding", 'w': "tunnel devices",
	'X': "X11 forwarding", 'Y': "X11 forwarding",
}

// sortOptions turns the options into settings, in ssh's order of preference:
// the first one given counts.
func sortOptions(line *getopt.CommandLine, dir string) (*commandLine, error) {
	c := &commandLine{dir: dir}
	for _, o := range line.Options {
		if err := c.add(o); err != nil {
			return nil, err
		}
	}
	if c.requestTTY != "" {
		first := sshconf.Setting{Keyword: "RequestTTY", Value: c.requestTTY, Literal: true}
		c.settings = append([]sshconf.Setting{first}, c.settings...)
	}
	return c, nil
}

func (c *commandLine) add(o getopt.Option) error {
	if what, no := notYet[o.Name]; no {
		return fmt.Errorf("-%c: %s is not carried out by this version", o.Name, what)
	}
	if k := keywordOf[o.Name]; k != "" {
		c.set(k, o.Value)
		c.anchor()
		return nil
	}
	if kv, ok := valueOf[o.Name]; ok {
		c.set(kv[0], kv[1])
		return nil
	}
	switch o.Name {
	case 'o':
		s, err := sshconf.ParseOption(o.Value)
		if err != nil {
			return err
		}
		c.settings = append(c.settings, s)
		c.anchor()
		if strings.EqualFold(s.Keyword, "RequestTTY") && c.requestTTY == "" {
			c.requestTTY = ttyWord(s.Value)
		}
	case 'F':
		c.configFile = o.Value
	case 'O':
		if c.control != "" {
			return errors.New("only one -O is possible")
		}
		c.control = o.Value
		return knownControl(o.Value)
	case 's':
		c.subsystem = true
	case 't':
		// Unlike everything else these two overrule what came before them, and
		// a yes of any origin counts as the first t (ssh.c, main).
		if c.requestTTY == "yes" {
			c.requestTTY = "force"
		} else {
			c.requestTTY = "yes"
		}
	case 'T':
		c.requestTTY = "no"
	case 'v':
		c.verbose++
	}
	if strings.IndexByte(carried+silent, o.Name) < 0 {
		return fmt.Errorf("-%c is not known to this version", o.Name)
	}
	return nil
}

// knownControl refuses what is no -O command, in ssh's words (ssh.c, main), and
// what is one that is not carried out.
func knownControl(command string) error {
	switch command {
	case "check", "exit", "stop":
		return nil
	case "forward", "cancel", "proxy", "conninfo", "channels":
		return fmt.Errorf("-O %s is not carried out by this version", command)
	}
	return errors.New("invalid multiplex command")
}

func (c *commandLine) set(keyword, value string) {
	c.settings = append(c.settings, sshconf.Setting{Keyword: keyword, Value: value, Literal: true})
}

// ttyWord is a value of RequestTTY in its one spelling.
func ttyWord(s string) string {
	switch s = strings.ToLower(strings.Trim(s, `"`)); s {
	case "true":
		return "yes"
	case "false":
		return "no"
	}
	return s
}
