package dest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"muxd/control"
	"muxd/internal/getopt"
	"muxd/internal/reach"
	"muxd/internal/sshconf"
)

// commandLine is ssh's command line, sorted: what is a configuration keyword in
// another spelling, and what is not.
type commandLine struct {
	settings    []sshconf.Setting
	overruling  []sshconf.Setting // by options that overrule every -o, the last one first
	configFile  string            // -F, "" if not given
	control     string            // -O
	sessionType string            // none or subsystem, by -N, -s and -W
	stdio       string            // -W
	print       bool              // -G
	controlPath bool              // -S or -o ControlPath: the path decides
	requestTTY  string            // what -t, -T and -o RequestTTY come to, "" if there was none
	logLevel    string            // what -q, -v and -o LogLevel come to, "" if there was none
	verbose     int               // -v
	masters     int               // -M
	logs        bool              // -E: nobody sees what is said
	refused     error             // the first option that is not carried out
	remarks     []string
	isHop       bool   // it is a jump host's: what it is for is a forward
	dir         string // the client's working directory
	home        string
	// run has a command run by the client, for Match exec.
	run func(control.Command) (control.Ran, error)
	// lookup resolves a name, for CanonicalizeHostname.
	lookup func(network, name string) (cname string, found bool, err error)
}

// keywordOf are the options that are a keyword with the option's value.
var keywordOf = map[byte]string{
	'B': "BindInterface", 'D': "DynamicForward", 'I': "PKCS11Provider", 'J': "ProxyJump", 'L': "LocalForward", 'P': "Tag",
	'R': "RemoteForward", 'S': "ControlPath", 'b': "BindAddress", 'c': "Ciphers", 'e': "EscapeChar", 'i': "IdentityFile",
	'l': "User", 'm': "MACs", 'p': "Port", 'w': "TunnelDevice",
}

// overrules are those of them that hold whatever an -o says; of two the last one
// counts. For the others, as for -o, it is the first, and -D, -L, -R and -i
// gather (ssh.c, main).
const overrules = "BIScbem"

// valuesOf are the options that set keywords to values. All of them overrule.
var valuesOf = map[byte][][2]string{
	'4': {{"AddressFamily", "inet"}}, '6': {{"AddressFamily", "inet6"}}, 'C': {{"Compression", "yes"}},
	'A': {{"ForwardAgent", "yes"}}, 'a': {{"ForwardAgent", "no"}}, 'g': {{"GatewayPorts", "yes"}},
	'K': {{"GSSAPIAuthentication", "yes"}, {"GSSAPIDelegateCredentials", "yes"}}, 'k': {{"GSSAPIDelegateCredentials", "no"}},
	'X': {{"ForwardX11", "yes"}}, 'x': {{"ForwardX11", "no"}}, 'Y': {{"ForwardX11", "yes"}, {"ForwardX11Trusted", "yes"}},
	'n': {{"StdinNull", "yes"}}, 'f': {{"ForkAfterAuthentication", "yes"}, {"StdinNull", "yes"}},
}

// refusals are the options that a person gives because they matter, and that
// are not carried out: doing without them silently would be wrong. -G prints
// them all the same.
var refusals = map[byte]string{
	'K': "the SSH library of muxd has no GSSAPI; call ssh for this host",
	'w': "a tunnel device needs privileges that muxd does not take; call ssh for this host",
}

// clientSide are the options that muxc itself carries out, and those that mean
// nothing any more.
const clientSide = "Vy2"

// sortOptions turns the options into settings, in ssh's order of preference:
// the first one given counts, but for those whose count or last one does.
func (r *Resolver) sortOptions(line *getopt.CommandLine, v *control.Invocation) (*commandLine, error) {
	c := &commandLine{dir: v.Dir, home: r.Home}
	for _, o := range line.Options {
		if err := c.add(o); err != nil {
			return nil, err
		}
	}
	var first []sshconf.Setting
	for _, kv := range [][2]string{{"RequestTTY", c.requestTTY}, {"LogLevel", c.logLevel}} {
		if kv[1] != "" {
			first = append(first, sshconf.Setting{Keyword: kv[0], Value: kv[1], Literal: true})
		}
	}
	c.settings = slices.Concat(first, c.overruling, c.settings)
	return c, nil
}

func (c *commandLine) add(o getopt.Option) error {
	if what, no := refusals[o.Name]; no && c.refused == nil {
		c.refused = fmt.Errorf("-%c: %s", o.Name, what)
	}
	if kvs, ok := valuesOf[o.Name]; ok {
		for _, kv := range kvs {
			c.overrule(kv[0], kv[1])
		}
		return nil
	}
	if o.Name == 'i' && !c.accessible(o.Value) {
		return nil
	}
	if k := keywordOf[o.Name]; k != "" {
		if o.Name == 'J' && c.has(k) {
			return errors.New("only one -J is possible: separate the hops by commas")
		}
		if o.Name == 'w' {
			c.set("Tunnel", "point-to-point")
		}
		if strings.IndexByte(overrules, o.Name) >= 0 {
			c.overrule(k, o.Value)
		} else {
			c.set(k, o.Value)
			c.anchor()
		}
		c.controlPath = c.controlPath || o.Name == 'S'
		return nil
	}
	return c.addOther(o)
}

// readable refuses a file that is a descriptor of whoever opens it: muxd would
// read its own, which is empty, and so connect by a configuration without a line.
func readable(file string) error {
	switch dir := filepath.Dir(filepath.Clean(file)); {
	case filepath.Clean(file) == "/dev/stdin", dir == "/dev/fd", dir == "/proc/self/fd":
		return fmt.Errorf("-F %s: muxd reads this file, and has no such descriptor: write the configuration to a file", file)
	}
	return nil
}

// addOther is an option that is more than a keyword, or none at all.
func (c *commandLine) addOther(o getopt.Option) error {
	switch o.Name {
	case 'o':
		return c.addKeyword(o.Value)
	case 'F':
		c.configFile = o.Value
		return readable(o.Value)
	case 'G':
		c.print = true
	case 'M':
		c.masters++
		c.overrule("ControlMaster", []string{"yes", "ask"}[min(c.masters, 2)-1])
	case 'N':
		return c.setSession("none", o.Name)
	case 'O':
		if c.control != "" {
			return errors.New("only one -O is possible")
		}
		c.control = o.Value
		return knownControl(o.Value)
	case 'W':
		if c.stdio != "" {
			return errors.New("only one -W is possible")
		}
		c.stdio = o.Value
		return c.setSession("none", 'N')
	case 'E':
		c.logs = true
	case 'q', 'v':
		c.addLevel(o.Name)
	case 's':
		return c.setSession("subsystem", o.Name)
	case 't', 'T':
		c.addTTY(o.Name)
	case '1':
		return errors.New("-1: SSH protocol 1 is no longer supported")
	default:
		if strings.IndexByte(clientSide, o.Name) < 0 {
			return fmt.Errorf("-%c is not known to this version", o.Name)
		}
	}
	return nil
}

// addKeyword is -o.
func (c *commandLine) addKeyword(text string) error {
	s, err := sshconf.ParseOption(text)
	if err != nil {
		return err
	}
	c.settings = append(c.settings, s)
	c.anchor()
	switch strings.ToLower(s.Keyword) {
	case "requesttty":
		if c.requestTTY == "" {
			c.requestTTY = ttyWord(s.Value)
		}
	case "loglevel":
		if c.logLevel == "" {
			c.logLevel = strings.Trim(s.Value, `"`)
		}
	case "controlpath":
		c.controlPath = true
	}
	return nil
}

// addTTY: unlike everything else these two overrule what came before them, and
// a yes of any origin counts as the first t.
func (c *commandLine) addTTY(name byte) {
	switch {
	case name == 'T':
		c.requestTTY = "no"
	case c.requestTTY == "yes":
		c.requestTTY = "force"
	default:
		c.requestTTY = "yes"
	}
}

// addLevel: the first -v overrules a -q before it, a -q every -v.
func (c *commandLine) addLevel(name byte) {
	if name == 'q' {
		c.logLevel = "QUIET"
		return
	}
	if c.verbose++; c.verbose == 1 || c.logLevel != "QUIET" {
		c.logLevel = fmt.Sprintf("DEBUG%d", min(c.verbose, 3))
	}
}

func (c *commandLine) setSession(kind string, name byte) error {
	if c.sessionType != "" && c.sessionType != kind {
		return fmt.Errorf("-%c contradicts what was said of the session before it: only one of -N, -s and -W is possible", name)
	}
	c.sessionType = kind
	return nil
}

// accessible reports whether the file of -i is there. One that is not costs a
// remark and nothing else, so that the default keys are tried (ssh.c, main).
// Names that are still to be expanded are not judged.
func (c *commandLine) accessible(file string) bool {
	path := clientPath(c.dir, file)
	if file == "" { // -i "$KEY", and nothing in it
		c.remarks = append(c.remarks, "Warning: Identity file  not accessible: it has no name.")
		return false
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = c.home + "/" + rest
	}
	if strings.ContainsAny(path, "%$") || !strings.HasPrefix(path, "/") {
		return true
	}
	_, err := os.Stat(path)
	if err != nil {
		c.remarks = append(c.remarks, fmt.Sprintf("Warning: Identity file %s not accessible: %v.", file, reach.Cause(err)))
	}
	return err == nil
}

// knownControl refuses what is no -O command, in ssh's words (ssh.c, main), and
// what is one that is not carried out.
func knownControl(command string) error {
	switch command {
	case "check", "exit", "stop", "proxy", "forward", "cancel", "conninfo", "channels", "prepare":
		return nil
	}
	return errors.New("invalid multiplex command")
}

func (c *commandLine) set(keyword, value string) {
	c.settings = append(c.settings, sshconf.Setting{Keyword: keyword, Value: value, Literal: true})
}

// overrule is set for an option that no -o and no earlier one gainsays.
func (c *commandLine) overrule(keyword, value string) {
	s := sshconf.Setting{Keyword: keyword, Value: value, Literal: true}
	c.overruling = append([]sshconf.Setting{s}, c.overruling...)
}

// has reports a setting that came from an option of its own.
func (c *commandLine) has(keyword string) bool {
	return slices.ContainsFunc(c.settings, func(s sshconf.Setting) bool { return s.Literal && s.Keyword == keyword })
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
