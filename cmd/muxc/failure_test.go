package main

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"muxd/control"
	"muxd/internal/getopt"
	"muxd/socket"
)

var update = flag.Bool("update", false, "write the golden files anew")

// failures are one of each kind, as they are told.
func failures(t *testing.T) string {
	t.Helper()
	u := newUI("box")
	u.pid, u.json = 7, true
	var b strings.Builder
	tell := func(err error) { b.WriteString(u.line(u.failure(err)) + "\n") }
	for _, e := range []*control.Error{
		{Phase: control.NotDialled, Text: "a request this muxd does not know"},
		{Phase: control.Refused, Host: "a \"b\"\\c", Text: "host key verification failed"},
		{Phase: control.Lost, Host: "box", Text: "connection lost (EOF)", Silence: 1500 * time.Millisecond},
		{Phase: control.Sent, Host: "box", Text: "connection lost; the command may have run", Silence: 812 * time.Second},
		{Phase: control.Running, Host: "box", Text: "ünï 漢\x00\x1b[31m\u009b\u2028\xff</script>"},
	} {
		tell(e)
	}
	tell(control.ErrGone)
	u.opened = true
	tell(control.ErrGone)
	tell(errors.New("nobody knows when"))
	u.opened = false
	tell(control.ErrSilent)
	tell(control.ErrNotTaken)
	tell(&socketError{})
	u.dest = ""
	tell(errors.New("start muxd: no program"))
	return b.String()
}

type socketError struct{}

func (*socketError) Error() string { return "no such file" }
func (*socketError) Unwrap() error { return socket.ErrNoServer }

func TestErrorsAreGolden(t *testing.T) {
	got := failures(t)
	const path = "testdata/errors.json"
	if *update {
		os.Mkdir("testdata", 0o755)
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, path); got != want {
		t.Errorf("got\n%s\nwant\n%s\nA change that is not an addition needs another errorSchema.", got, want)
	}
}

// TestErrorsAreJSON: another program reads what was meant, and the document
// says what it is.
func TestErrorsAreJSON(t *testing.T) {
	page := read(t, "../../docs/errors-json.md")
	said := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| \\w+ \\| \\S").FindAllStringSubmatch(page, -1) {
		said[m[1]] = true
	}
	lines := strings.Split(strings.TrimSuffix(failures(t), "\n"), "\n")
	for _, line := range lines {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for k := range v {
			if !said[k] {
				t.Errorf("%s is not documented", k)
			}
		}
		if len(v) != len(said) {
			t.Errorf("%s has %d fields, the document %d", line, len(v), len(said))
		}
		if phase := v["phase"].(string); !strings.Contains(page, "| `"+phase+"` |") || v["schema"] != float64(errorSchema) {
			t.Errorf("%s: the phase is not documented, or another schema", line)
		}
		if ran := v["may_have_run"].(bool); ran != (v["phase"] == "sent" || v["phase"] == "running") {
			t.Errorf("%s", line)
		}
	}
	var v struct{ Error string }
	json.Unmarshal([]byte(lines[4]), &v)
	if want := "ünï 漢\x00\x1b[31m\u009b\u2028\ufffd</script>"; v.Error != want {
		t.Errorf("read as %q, meant %q", v.Error, want)
	}
	if strings.ContainsFunc(strings.Join(lines, ""), func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 }) {
		t.Error("something in it acts on a terminal")
	}
}

func FuzzQuoted(f *testing.F) {
	f.Add("a\"\\\n\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendQuoted(nil, s), &got); err != nil || got != strings.ToValidUTF8(s, "\ufffd") && strings.ToValidUTF8(s, "") == s {
			t.Fatalf("%q is read as %q, %v", s, got, err)
		}
	})
}

func TestWantsJSON(t *testing.T) {
	for args, want := range map[string]bool{
		"h": false, "-o ErrorFormat=json h": true, "-oerrorformat=JSON h": true, `-o ErrorFormat="json" h`: true,
		"-o ErrorFormat=text h": false, "-o ErrorFormat=text -o ErrorFormat=json h": false, "-o ErrorFormat=json -o ErrorFormat=text h": true,
		"-o LogLevel=json h": false, "-o ErrorFormats=json h": false, "h -o ErrorFormat=json cmd": true, "h cmd -o ErrorFormat=json": false,
	} {
		line, err := getopt.ParseSSH(strings.Fields(args))
		if err != nil || wantsJSON(line) != want {
			t.Errorf("%s: %v, %v", args, !want, err)
		}
	}
	for _, text := range []string{"ErrorFormat json", " ErrorFormat = json ", "ErrorFormat\tjson"} {
		if line, err := getopt.ParseSSH([]string{"-o", text, "h"}); err != nil || !wantsJSON(line) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
