package sshconf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// againstSSH makes a configuration and a command line of data and compares what
// ssh makes of them: every value, and whether there is an error at all.
func againstSSH(t *testing.T, ssh string, data []byte) {
	g := &generator{data: data, w: newWorld(t)}
	g.w.asSSH(ssh)
	g.canon = g.maybe(4)
	g.w.in.Host = g.pick("web1", "WEB1", "other", "10.0.0.1", "127.1", "web1.example.org", "Fe80::1")
	options := g.commandLine()
	text := "IgnoreUnknown FooBar\n" + g.text(0)
	g.w.in.ConfigFile = g.w.write("config", text)
	g.w.in.Exec, g.w.in.LocalNetwork = runExec, loopback
	if err := g.w.tryOptions(options); err != nil {
		t.Fatal(err)
	}
	ours, err := g.w.resolve()
	theirs, refusal := g.w.ask(ssh, options)
	fault := ""
	switch {
	case refusal != nil && err == nil:
		fault = "no error, but ssh says:\n" + strings.Join(refusal, "\n")
	case refusal == nil && err != nil:
		fault = "ssh has no error, but got:\n" + err.Error()
	case err != nil && comparable(refusal) && !slices.Equal(refusal, complaints(vis(err.Error()))):
		fault = "got:\n" + vis(err.Error()) + "\nssh says:\n" + strings.Join(refusal, "\n")
	case err == nil:
		fault = compare(ours, theirs)
	}
	if fault != "" {
		t.Errorf("%s\nssh %q %q %s\n%s", fault, g.w.flags, options, g.w.in.Host, text)
	}
}

// comparable reports whether ssh's words are worth being imitated: not where it
// names its own functions. With -q there are none.
func comparable(refusal []string) bool {
	return len(refusal) > 0 && !strings.Contains(strings.Join(refusal, "\n"), "_expand: ")
}

// vis writes text as ssh writes its log: strnvis(3) with VIS_SAFE and VIS_OCTAL.
func vis(s string) string {
	var out strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\':
			out.WriteString(`\\`)
		case c >= 0x7f, c < ' ' && !strings.ContainsRune("\n\t\a\b\r", rune(c)):
			fmt.Fprintf(&out, `\%03o`, c)
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// loopback is the only network that every machine is in.
func loopback(nets []netip.Prefix) (bool, error) {
	return slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(netip.MustParseAddr("127.0.0.1")) }), nil
}

// runExec runs the command of Match exec.
func runExec(command string) (bool, error) {
	err := exec.Command("/bin/sh", "-c", command).Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return false, nil
	}
	return err == nil, err
}

// randomConfigs is how many an ordinary run compares: ssh -G takes some 4 ms.
const randomConfigs = 300

func randomData(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, 20+r.IntN(300))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

func TestRandomAgainstSSH(t *testing.T) {
	ssh := sshtest.Program(t, "ssh")
	for seed := range uint64(randomConfigs) {
		againstSSH(t, ssh, randomData(seed))
	}
}

// FuzzAgainstSSH looks for configurations that ssh and this package read
// differently.
func FuzzAgainstSSH(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(randomData(seed))
	}
	ssh := sshtest.Program(f, "ssh")
	f.Fuzz(func(t *testing.T, data []byte) { againstSSH(t, ssh, data) })
}
