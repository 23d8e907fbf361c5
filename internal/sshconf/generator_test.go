package sshconf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// generator writes configurations that are mostly right, of what ssh 9.2 and
// 10.5 agree on. All its choices come from data, so that a fuzzer can steer it.
type generator struct {
	data  []byte
	w     *world
	files int
	canon bool // canonicalises, and so must not name domains: ssh would look them up
}

// intn is a number below n; the last one when the data is at an end, which
// makes every loop below stop.
func (g *generator) intn(n int) int {
	if len(g.data) == 0 {
		return n - 1
	}
	b := int(g.data[0])
	g.data = g.data[1:]
	if n > 256 && len(g.data) > 0 {
		b = b<<8 | int(g.data[0])
		g.data = g.data[1:]
	}
	return b % n
}

func (g *generator) pick(list ...string) string { return list[g.intn(len(list))] }

func (g *generator) maybe(n int) bool { return g.intn(n) == 0 }

// rawKeyword reports whether the value of a keyword is the rest of the
// line.
func rawKeyword(key string) bool { return strings.HasSuffix(key, "Command") || key == "ProxyJump" }

// canonical are the keywords that canonicalise and, false, that would then make
// ssh ask the network.
var canonical = map[string]bool{"CanonicalizeHostname": true, "CanonicalDomains": false}

// The same data must mean the same every time, so the keys are sorted.
var (
	keys      = slices.Sorted(maps.Keys(values))
	newerKeys = slices.Sorted(maps.Keys(newer))
)

func (g *generator) keyValue() (key, value string) {
	key = keys[g.intn(len(keys))]
	if on, ok := canonical[key]; ok && on != g.canon {
		return "Port", "7"
	}
	if strings.HasPrefix(key, "GSSAPI") && !theSSH.gssapi {
		return "Port", "7"
	}
	all := values[key]
	if theSSH.newest && g.maybe(12) {
		key = newerKeys[g.intn(len(newerKeys))]
		all = newer[key]
	}
	right, wrong, _ := strings.Cut(all, "|")
	list := words(right)
	if wrong != "" && g.maybe(80) {
		list = words(wrong)
	}
	value = strings.ReplaceAll(g.pick(list...), "~", " ")
	if strings.HasPrefix(value, " ") {
		value = "~" + value[1:]
	}
	if value == "FORWARD" {
		value = g.pick("8080 a:80", "[::1]:81 [fe80::1]:82", "/tmp/l%h b:1", "x:9 c:1", "9 /tmp/%h", "/a /b", `\:9 d:1`, "5 socks:5")
	}
	return key, value
}

func (g *generator) setting() string {
	key, value := g.keyValue()
	raw := rawKeyword(key)
	if !raw && key != "RevokedHostKeys" && g.maybe(200) { // 9.9 takes several
		value += " surplus"
	}
	if !raw && g.maybe(6) && !strings.Contains(value, " ") {
		value = g.pick(`"`+value+`"`, `'`+value+`'`)
	}
	tail := ""
	if !raw && g.maybe(10) {
		tail = " # comment"
	}
	if g.maybe(10) {
		key = strings.ToUpper(key)
	}
	return g.pick("", " ", "\t", "    ") + key + g.pick(" ", "=", " = ", "\t", "  ") + value + tail
}

// damaged is a setting with a byte too many, of those that mean something. Not a
// percent sign: ssh -G does not look at the tokens of all keywords, and Resolve
// does, because ssh fails when it comes to use them. Nor a comma and a plus, of
// which 9.2 thinks otherwise in lists and times, and a backslash before a blank.
func (g *generator) damaged() string { return g.damage(g.setting()) }

// damagedBlock is a block that now and then has one too: 9.2 reads the line of
// Match in another way.
func (g *generator) damagedBlock() string {
	s := g.block()
	if theSSH.newest && g.maybe(12) && !strings.Contains(s, "exec") {
		s = g.damage(s)
	}
	return s
}

func (g *generator) damage(s string) string {
	bytes := "\"' =#\t:/[]$~!*?@-^0x\f\r\x80{"
	if theSSH.newest {
		bytes += ",+\\"
	}
	for _, key := range []string{"proxyjump", "revokedhostkeys", "forwardagent"} {
		// 9.2 cuts the first at white space and knows no list for the second;
		// of the third ssh -G looks whether the file is there. And none with a
		// comment behind it is a jump host called none to ssh, but not here.
		low := lowerASCII(s)
		if strings.Contains(low, key) && (!theSSH.newest || key == "forwardagent" || strings.Contains(low, "none")) {
			return s
		}
	}
	i, j := g.intn(len(s)+1), g.intn(len(bytes))
	return s[:i] + bytes[j:j+1] + s[i:]
}

func (g *generator) pattern() string {
	return g.pick("", "", "", "!") + g.pick("*", "web1", "web*", "w?b1", "h1", "other", "*.example", "?", "web1.example", "real.example", "127.*")
}

func (g *generator) block() string {
	switch {
	case g.maybe(2):
		list := []string{g.pattern()}
		for g.maybe(2) {
			list = append(list, g.pattern())
		}
		return "Host" + g.pick(" ", "=", "\t") + strings.Join(list, g.pick(" ", "\t"))
	case g.maybe(8):
		return g.pick("Match all", "Match !all", "Match final all", "Match canonical all")
	}
	criteria := []string{g.criterion()}
	for g.maybe(3) {
		criteria = append(criteria, g.criterion())
	}
	return "Match " + strings.Join(criteria, " ")
}

func (g *generator) criterion() string {
	if theSSH.newest && g.maybe(4) {
		return g.pick("", "!") + g.pick("final", "tagged"+g.pick(" ", "=")+g.pick("t*", "*,!t1", `""`, "t1"), "version"+g.pick(" ", "=")+g.pick("*", "OpenSSH_1*"),
			"sessiontype "+g.pick("shell", "exec,none", "none", "subsystem", "*"), "command"+g.pick(" ", "=")+g.pick("t*", `""`, "ls"), "localnetwork 127.0.0.0/8")
	}
	switch name := g.pick("host", "originalhost", "user", "localuser", "final", "canonical", "exec"); name {
	case "final": // 9.2 makes a second pass for !final too
		return name
	case "canonical":
		return g.pick("", "!") + name
	case "user", "localuser":
		return g.pick("", "!") + name + g.pick(" ", "=") + g.pick("*", "bob", "a,bob", "root", "!root,*", "r*")
	case "exec":
		return g.pick("", "!") + name + g.pick(" ", "=") + g.pick("true", "false", `"test %n = web1"`)
	default:
		return g.pick("", "!") + name + g.pick(" ", "=") + strings.ReplaceAll(g.pattern()+","+g.pattern(), ",!", ",")
	}
}

// maxLines bounds a file.
const maxLines = 30

func (g *generator) text(depth int) string {
	var out strings.Builder
	for n := 0; n < maxLines && len(g.data) > 0 && (depth == 0 || !g.maybe(8)); n++ {
		switch {
		case g.maybe(5):
			out.WriteString(g.damagedBlock())
		case depth < 3 && g.maybe(25):
			out.WriteString("Include " + g.file(depth+1))
		case g.maybe(20):
			out.WriteString(g.pick("", "# comment", "   ", "\t#"))
		case g.maybe(15):
			out.WriteString(g.damaged())
		default:
			out.WriteString(g.setting())
		}
		out.WriteString(g.pick("\n", "\n", "\n", " \r\n"))
	}
	return out.String()
}

func (g *generator) file(depth int) string {
	g.files++
	name := fmt.Sprintf("f%d", g.files)
	return g.w.write(name, g.text(depth))
}

// commandLine chooses flags and -o options. The flags come first, because ssh
// lets some of them overrule what stands before them, which is not for this
// package to do.
func (g *generator) commandLine() (options []string) {
	if g.maybe(8) {
		f := flags[g.intn(len(flags))]
		g.w.flags = append(g.w.flags, f.args...)
		g.w.in.Options = append(g.w.in.Options, f.settings...)
	}
	if g.maybe(20) {
		g.w.flags = append(g.w.flags, "-W", "a:1")
		g.w.in.StdioForward = true
	}
	for g.maybe(4) {
		key, value := g.keyValue()
		options = append(options, key+g.pick("=", " ", " = ")+value)
	}
	if g.maybe(8) {
		g.w.in.Command = "true"
	}
	return options
}
