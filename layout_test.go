// Package muxd_test holds the rules of the source tree as a whole: who may
// import whom and why, and what the thin client may weigh.
package muxd_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// allowed is the import table: for each package, what it may import besides the
// standard library, and the reason that decides in doubt. "muxd/internal/*"
// stands for all of them. Test files may import what they like.
var allowed = map[string]struct {
	imports []string
	why     string
}{
	"muxd/socket":              {[]string{"golang.org/x/sys/unix"}, "muxc links it: no net, no xdg (+7 % start-up)"},
	"muxd/alive":               {nil, "arithmetic: no clock, no goroutine, no lock"},
	"muxd/control":             {[]string{"muxd/socket", "muxd/internal/fdio"}, "the words both sides share; muxc links it"},
	"muxd/control/client":      {[]string{"muxd/control", "muxd/socket", "muxd/internal/launch", "muxd/internal/child"}, "the library face, os/exec and net.Dialer through muxd: imports net, which control must not; finds and starts muxd as muxc does"},
	"muxd/control/sshmux":      {[]string{"muxd/control", "muxd/socket", "muxd/internal/child", "muxd/internal/fdio", "muxd/internal/getopt", "muxd/internal/proc", "muxd/internal/term", "golang.org/x/crypto/ssh", "golang.org/x/sys/unix"}, "the second door: OpenSSH's protocol onto the same Backend; knows no master. Which client is an -O shows its command line"},
	"muxd/control/streams":     {[]string{"muxd/control", "github.com/hashicorp/yamux"}, "the only place that knows yamux"},
	"muxd/control/controltest": {[]string{"muxd/control"}, "a scripted Backend"},
	"muxd/master":              {[]string{"muxd/control", "muxd/alive", "muxd/internal/*", "golang.org/x/crypto/ssh", "golang.org/x/sys/unix"}, "the desk: knows no wire between clients and muxd"},
	"muxd/internal/contain":    {nil, "keeps a panic in pure work to whoever it was done for"},
	"muxd/internal/dest":       {[]string{"muxd/control", "muxd/alive", "muxd/internal/getopt", "muxd/internal/proc", "muxd/internal/sshconf", "muxd/internal/reach", "golang.org/x/sys/cpu"}, "what a command line asks for: decides and does nothing, so it holds no connection and needs no x/crypto; x/sys/cpu says which cipher goes first"},
	"muxd/internal/build":      {nil, "a name"},
	"muxd/internal/child":      {[]string{"muxd/control"}, "children for both programs; muxc links it"},
	"muxd/internal/launch":     {[]string{"muxd/socket"}, "finding and starting muxd; muxc links it"},
	"muxd/internal/notify":     {[]string{"muxd/control"}, "when a NotifyCommand runs; starts no process"},
	"muxd/internal/gate":       {nil, "whether anything new may begin: knows nothing of what"},
	"muxd/internal/history":    {[]string{"muxd/control"}, "the newest events: pure, no clock and no lock"},
	"muxd/internal/fdio":       {[]string{"golang.org/x/sys/unix"}, "descriptors of other processes; knows no protocol"},
	"muxd/internal/forward":    {[]string{"muxd/control", "muxd/internal/socks", "golang.org/x/sys/unix"}, "forwards as desired state; knows no SSH and no host"},
	"muxd/internal/getopt":     {nil, "pure; muxc links it"},
	"muxd/internal/socks":      {nil, "pure: a protocol over any stream"},
	"muxd/internal/top":        {[]string{"muxd/control", "muxd/internal/table", "charm.land/bubbletea/v2"}, "the live view: asks nobody, so that a frame is a function of messages"},
	"muxd/internal/wire":       {[]string{"muxd/internal/firstkex", "golang.org/x/sys/unix"}, "the connection under SSH: knows no host, no request and no configuration"},
	"muxd/internal/x11":        {[]string{"muxd/control"}, "displays and cookies; knows no SSH"},
	"muxd/internal/table":      {[]string{"muxd/control", "charm.land/lipgloss/v2", "github.com/charmbracelet/x/ansi"}, "what muxd status and muxd top look like; never in muxc"},
	"muxd/internal/term":       {[]string{"golang.org/x/term", "golang.org/x/sys/unix"}, "the person's terminal; muxc links it"},
	"muxd/internal/inet":       {nil, "addresses as C reads them"},
	"muxd/internal/learned":    {[]string{"muxd/alive"}, "what was learned, on disk: knows no host and no connection; the caller gives the path"},
	"muxd/internal/netwatch":   {[]string{"muxd/alive", "golang.org/x/sys/unix"}, "what happens to this machine; knows no connection"},
	"muxd/internal/proc":       {[]string{"golang.org/x/sys/unix"}, "what is to be seen of another process; decides nothing"},
	"muxd/internal/reach":      {[]string{"muxd/internal/inet", "golang.org/x/sys/unix"}, "connections; knows no SSH"},
	"muxd/internal/sshconf":    {[]string{"muxd/internal/inet"}, "what ssh_config says; knows no SSH"},
	"muxd/internal/knownhosts": {[]string{"golang.org/x/crypto/*", "golang.org/x/sys/unix"}, "host keys"},
	"muxd/internal/hostkey":    {[]string{"muxd/control", "muxd/internal/knownhosts", "muxd/internal/sshconf", "golang.org/x/crypto/ssh"}, "whom a host key belongs to, by files, commands and people; knows no connection of muxd's"},
	"muxd/internal/login":      {[]string{"golang.org/x/crypto/ssh", "muxd/control", "muxd/internal/contain", "muxd/internal/dest", "muxd/internal/firstkex", "muxd/internal/hostkey", "muxd/internal/knownhosts", "muxd/internal/sshauth", "muxd/internal/sshconf", "muxd/internal/stuck", "muxd/internal/wire"}, "one attempt to log in: makes no connection and keeps none"},
	"muxd/internal/firstkex":   {[]string{"golang.org/x/crypto/ssh"}, "what a server says in the clear: changes nothing, holds no connection"},
	"muxd/internal/sshauth":    {[]string{"muxd/internal/firstkex", "golang.org/x/crypto/*", "golang.org/x/sys/unix"}, "logins"},
	"muxd/internal/stuck":      {[]string{"golang.org/x/crypto/ssh"}, "frees that library's reader by its fields, and shows others the way to them"},
	"muxd/internal/sshlink":    {[]string{"golang.org/x/crypto/ssh", "muxd/alive", "muxd/control", "muxd/internal/dest", "muxd/internal/firstkex", "muxd/internal/forward", "muxd/internal/gate", "muxd/internal/hostkey", "muxd/internal/reach", "muxd/internal/sshconf", "muxd/internal/stuck", "muxd/internal/wire", "muxd/internal/x11"}, "one live connection: knows no host of muxd's and no other connection; never master"},
	"muxd/internal/sshtest":    {[]string{"golang.org/x/crypto/*", "golang.org/x/sys/unix", "github.com/pkg/sftp", "github.com/creack/pty"}, "servers and faults for tests; imports nothing of ours"},
	"muxd/internal/scripttest": {[]string{"muxd/internal/*", "github.com/*", "golang.org/x/*"}, "the binaries under test"},
	"muxd/cmd/muxc":            {[]string{"muxd/control", "muxd/socket", "muxd/internal/getopt", "muxd/internal/term", "muxd/internal/build", "muxd/internal/child", "muxd/internal/launch", "golang.org/x/sys/unix"}, "start-up time is the product: never master, x/crypto, net"},
	"muxd/cmd/muxd":            {[]string{"muxd/*", "golang.org/x/*", "github.com/adrg/xdg", "charm.land/bubbletea/v2"}, "wires the parts"},
	"muxd/packaging":           {nil, "files"},
	"muxd/packaging/mkman":     {nil, "writes a manual page of docs/keywords.md"},
	"muxd/packaging/sbom":      {[]string{"muxd/internal/build"}, "reads built programs, and says what they are made of"},
	"muxd/docs/tosvg":          {nil, "draws a terminal for README.md"},
	"muxd/demo":                {[]string{"muxd/internal/*", "golang.org/x/crypto/ssh"}, "the newcomer's first minute"},
	"muxd/bench":               {[]string{"muxd/internal/*", "golang.org/x/crypto/ssh", "golang.org/x/sys/unix"}, "side by side with ssh -S"},
}

// clientPackages are the packages outside the standard library that muxc may
// link, directly or not. A name more is microseconds on every command.
var clientPackages = []string{
	"muxd/cmd/muxc", "muxd/control", "muxd/socket", "muxd/internal/getopt", "muxd/internal/term", "muxd/internal/build", "muxd/internal/child", "muxd/internal/launch",
	"muxd/internal/fdio", // of control's other side: the linker drops it
	"golang.org/x/sys/unix", "golang.org/x/term",
}

// clientRefuses are packages of the standard library that muxc must not link,
// with what each costs a client that does nothing else.
var clientRefuses = map[string]string{
	"net":           "with yamux +11 % start-up",
	"net/http":      "+12 %",
	"encoding/json": "+3 %",
	"log/slog":      "brings encoding/json",
	"os/exec":       "starting muxd needs os.StartProcess alone",
	"os/user":       "reads nothing that the environment does not say",
	"regexp":        "compiles at start",
}

type listed struct {
	ImportPath string
	Name       string
	Doc        string
	Standard   bool
	Imports    []string
	GoFiles    []string
}

func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l listed
		if err := d.Decode(&l); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
}

func permits(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, wild := strings.CutSuffix(p, "*")
		return p == path || wild && strings.HasPrefix(path, prefix)
	})
}

func TestImportTable(t *testing.T) {
	for _, l := range goList(t, "./...") {
		if len(l.GoFiles) == 0 {
			continue // tests only
		}
		rule, ok := allowed[l.ImportPath]
		if !ok {
			t.Errorf("%s is not in the import table", l.ImportPath)
			continue
		}
		for _, imp := range l.Imports {
			first, _, _ := strings.Cut(imp, "/")
			if own := first == "muxd"; (own || strings.Contains(first, ".")) && !permits(rule.imports, imp) {
				t.Errorf("%s imports %s, which the table refuses: %s", l.ImportPath, imp, rule.why)
			}
		}
	}
}

func TestClientLinksLittle(t *testing.T) {
	for _, l := range goList(t, "-deps", "./cmd/muxc") {
		if why, refused := clientRefuses[l.ImportPath]; refused {
			t.Errorf("muxc links %s: %s", l.ImportPath, why)
		}
		if !l.Standard && !slices.Contains(clientPackages, l.ImportPath) {
			t.Errorf("muxc links %s, which is not on its list", l.ImportPath)
		}
	}
}

// TestYamuxInOneFile keeps the library whose defaults lose data in one place.
func TestYamuxInOneFile(t *testing.T) {
	for _, l := range goList(t, "./...") {
		if slices.Contains(l.Imports, "github.com/hashicorp/yamux") && l.ImportPath != "muxd/control/streams" {
			t.Errorf("%s imports yamux", l.ImportPath)
		}
	}
	files, _ := filepath.Glob("control/streams/*.go")
	for _, f := range files {
		b, err := exec.Command("grep", "-l", "hashicorp/yamux", f).Output()
		if err == nil && len(b) > 0 && filepath.Base(f) != "yamux.go" && !strings.HasSuffix(f, "_test.go") {
			t.Errorf("%s imports yamux; only yamux.go may", f)
		}
	}
}

// TestPackageComments wants exactly one comment that says what a package is
// for: none leaves a reader alone, two contradict each other one day.
func TestPackageComments(t *testing.T) {
	for _, l := range goList(t, "./...") {
		if len(l.GoFiles) > 0 && l.Doc == "" {
			t.Errorf("%s has no package comment", l.ImportPath)
		}
	}
}
