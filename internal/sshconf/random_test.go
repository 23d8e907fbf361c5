package sshconf

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// generator writes configurations that are mostly right, of what ssh 9.2 and
// 10.5 agree on.
type generator struct {
	r     *rand.Rand
	w     *world
	files int
}

func (g *generator) pick(list ...string) string { return list[g.r.IntN(len(list))] }

func (g *generator) maybe(n int) bool { return g.r.IntN(n) == 0 }

// values are right ones for keywords, then, after a bar, wrong ones.
var values = map[string]string{
	"Port": "1 22 65535 http|0 x 65536 -1", "User": "a bob|", "HostName": "h1 %h.example REAL.example|",
	"IdentityFile": "~/k1 k2 /k3 none %d/x|", "CertificateFile": "~/c1 c2|", "IdentitiesOnly": "yes no TRUE false|maybe",
	"BatchMode": "no false|2", "ConnectTimeout": "5 1m 1h2m3 none|x 1y", "ServerAliveInterval": "0 10 2m none|5q",
	"ServerAliveCountMax": "0 7|x -3", "ConnectionAttempts": "1 4|x", "TCPKeepAlive": "yes no|x",
	"ControlPath": "none /tmp/%C /tmp/%h-%p-%r ~/%n /tmp/%k.%L.%i|", "ControlMaster": "auto ask autoask yes no|x",
	"ControlPersist": "yes no 0 10 5m true|x", "SendEnv": "A B* LC_* -A -B* -*|A=b", "SetEnv": "A=1 B=2|A",
	"RequestTTY": "yes no force auto|x", "EscapeChar": "~ none ^A x|xy ^", "StdinNull": "yes no|x",
	"SessionType": "none subsystem default|x", "RemoteCommand": "none echo|", "LogLevel": "ERROR debug DEBUG2 info verbose|x",
	"AddressFamily": "any inet inet6|x", "BindAddress": "1.2.3.4 none|", "PreferredAuthentications": "publickey,password|",
	"PubkeyAuthentication": "yes no unbound host-bound|x", "PasswordAuthentication": "yes no|x", "NumberOfPasswordPrompts": "0 5|x",
	"HostKeyAlias": "Al ias|", "HashKnownHosts": "yes no|x", "CheckHostIP": "yes no|x", "StrictHostKeyChecking": "yes no ask off accept-new|x",
	"ProxyCommand": "none nc|", "ProxyJump": "j u@j:22 [::1]:3 a,b|@", "ForwardAgent": "yes no /tmp|", "ForwardX11": "yes no|x",
	"PermitLocalCommand": "yes no|x", "LocalCommand": "none x|", "RekeyLimit": "1G 16 default 1.25M|1 x", "Compression": "yes no|true",
	"ExitOnForwardFailure": "yes no|x", "UserKnownHostsFile": "~/kh /kh2 /tmp/%h|", "GlobalKnownHostsFile": "/g /h|",
	"IdentityAgent": "none SSH_AUTH_SOCK ~/a.sock $AG /tmp/%r|", "IPQoS": "none ef cs1 af21 10|x", "KnownHostsCommand": "none /bin/x|",
	"DynamicForward": "1080 localhost:1081|x", "Protocol": "2|", "FooBar": "x|",
	"LocalForward": "LF|", "RemoteForward": "LF 1080|", "IgnoreUnknown": "Foo* none|", "BindInterface": "eth0|", "RequiredRSASize": "2048 1024|x",
}

var keys = func() []string {
	var list []string
	for k := range values {
		list = append(list, k)
	}
	slices.Sort(list) // a seed must mean the same every time
	return list
}()

func (g *generator) setting() string {
	key := keys[g.r.IntN(len(keys))]
	right, wrong, _ := strings.Cut(values[key], "|")
	list := words(right)
	if wrong != "" && g.maybe(80) {
		list = words(wrong)
	}
	value := g.pick(list...)
	if value == "LF" {
		value = g.pick("8080 a:80", "[::1]:81 [fe80::1]:82", "/tmp/l%h b:1", "x:9 c:1")
	}
	if g.maybe(200) {
		value += " surplus"
	}
	if g.maybe(6) && !strings.ContainsAny(value, " ") && !strings.Contains(key, "Command") && key != "ProxyJump" {
		value = g.pick(`"`+value+`"`, `'`+value+`'`)
	}
	if g.maybe(10) {
		key = strings.ToUpper(key)
	}
	tail := ""
	if g.maybe(10) && !strings.Contains(key, "OMMAND") && !strings.Contains(key, "ommand") {
		tail = " # comment"
	}
	return g.pick("", " ", "\t", "    ") + key + g.pick(" ", "=", " = ", "\t", "  ") + value + tail
}

func (g *generator) pattern() string {
	return g.pick("", "", "", "!") + g.pick("*", "web1", "web*", "w?b1", "h1", "other", "*.example", "?", "web1.example", "real.example")
}

func (g *generator) block() string {
	if g.maybe(2) {
		list := []string{g.pattern()}
		for g.maybe(2) {
			list = append(list, g.pattern())
		}
		return "Host" + g.pick(" ", "=", "\t") + strings.Join(list, g.pick(" ", "\t"))
	}
	var criteria []string
	for len(criteria) == 0 || g.maybe(3) {
		name := g.pick("host", "originalhost", "user", "localuser", "final", "canonical")
		switch name {
		case "final":
		case "canonical":
			name = g.pick("", "!") + name
		case "user", "localuser":
			name = g.pick("", "!") + name + g.pick(" ", "=") + g.pick("*", "bob", "a,bob", "root", "!root,*", "r*")
		default:
			name = g.pick("", "!") + name + g.pick(" ", "=") + strings.ReplaceAll(g.pattern()+","+g.pattern(), ",!", ",")
		}
		criteria = append(criteria, name)
	}
	if g.maybe(8) {
		return "Match all"
	}
	return "Match " + strings.Join(criteria, " ")
}

func (g *generator) text(depth int) string {
	var out strings.Builder
	for range g.r.IntN(25) {
		switch {
		case g.maybe(5):
			out.WriteString(g.block())
		case g.maybe(25) && depth < 3:
			out.WriteString("Include " + g.file(depth+1))
		case g.maybe(20):
			out.WriteString(g.pick("", "# comment", "   ", "\t#"))
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

// FuzzAsSSH compares random configurations with the installed ssh: values, and
// whether there is an error at all.
func FuzzAsSSH(f *testing.F) {
	for seed := range uint64(150) {
		f.Add(seed)
	}
	ssh := oracle(f)
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := &generator{r: rand.New(rand.NewPCG(seed, 1)), w: newWorld(t)}
		text := "IgnoreUnknown FooBar\n" + g.text(0)
		g.w.in.ConfigFile = g.w.write("config", text)
		g.w.in.Host = g.pick("web1", "WEB1", "other", "10.0.0.1")
		ours, err := g.w.resolve()
		theirs, refusal := g.w.ask(ssh, nil)
		switch {
		case refusal != nil && err == nil:
			t.Errorf("no error, but ssh says:\n%s\n%s", strings.Join(refusal, "\n"), text)
		case refusal == nil && err != nil:
			t.Errorf("ssh has no error, but got:\n%v\n%s", err, text)
		case err == nil:
			if diff := compare(ours, theirs); diff != "" {
				t.Errorf("%s\n%s", diff, text)
			}
		}
	})
}
