package knownhosts

import (
	"errors"
	"strings"
	"testing"

	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

func TestParseLine(t *testing.T) {
	key := formatKey(newEd(t).PublicKey())
	blob := strings.Fields(key)[1]
	tests := []struct {
		name, text, want string // want "": nothing, "!x": an error that contains x
	}{
		{"plain", "h " + key, "h " + key},
		{"comment", "h " + key + " me@there # x", "h " + key},
		{"tabs, indent, CR", " \th\t" + strings.ReplaceAll(key, " ", "\t ") + "\r\n", "h " + key},
		{"case", "H.Example,[H]:2222 " + key, "h.example,[h]:2222 " + key},
		{"ca", "@cert-authority *.x " + key, "@cert-authority *.x " + key},
		{"revoked", "@revoked\t* " + key, "@revoked * " + key},
		{"empty", " \t\r\n", ""},
		{"remark", "  # h " + key, ""},
		{"marker", "@trusted h " + key, "!unknown marker"},
		{"marker alone", "@revoked", "!ends before"},
		{"bare host", "h", "!ends before"},
		{"no key", "h ssh-ed25519", "!ends before"},
		{"not base64", "h ssh-ed25519 %%%%", "!not base64"},
		{"not a key", "h ssh-ed25519 AAAA", "!unusable"},
		{"type differs", "h ssh-rsa " + blob, "!says ssh-rsa"},
		{"protocol 1", "h 1024 35 1234567890", "!"},
		{"hash kind", "|2|x|y " + key, "!unknown kind"},
		{"hash salt", "|1|%|y " + key, "!salt"},
		{"hash sum", "|1|AAAA|% " + key, "!not base64"},
		{"hash short", "|1|AAAA|AAAA " + key, "!wrong length"},
	}
	for _, tt := range tests {
		l, err := parseLine(tt.text)
		switch fault, bad := strings.CutPrefix(tt.want, "!"); {
		case bad && (err == nil || errors.Is(err, errNothing) || !strings.Contains(err.Error(), fault)):
			t.Errorf("%s: error %v, want one with %q", tt.name, err, fault)
		case !bad && tt.want == "" && !errors.Is(err, errNothing):
			t.Errorf("%s: %v, want nothing", tt.name, err)
		case !bad && tt.want != "" && (err != nil || l.String() != tt.want):
			t.Errorf("%s: %v, %v, want %s", tt.name, l, err, tt.want)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		p, s string
		want bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"?", "", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"*.x", "a.b.x", true}, {"*.x", "x", false},
		{"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXc", false}, {"**a", "ba", true}, {"[h]:*", "[h]:22", true},
		{strings.Repeat("*a", 40), strings.Repeat("a", 60) + "b", false}, // hangs where stars nest
	} {
		if got := glob(tt.p, tt.s); got != tt.want {
			t.Errorf("glob(%q, %q) = %v", tt.p, tt.s, got)
		}
	}
}

// FuzzParseLine holds that no line upsets the parser, and that an accepted one
// says the same when written and read again.
func FuzzParseLine(f *testing.F) {
	key := formatKey(newEd(f).PublicKey())
	f.Add("h,!x,*.y " + key + " c")
	f.Add("@revoked [h]:22 " + key)
	f.Add(xknownhosts.HashHostname("h") + " " + key)
	f.Add("@ |1|| x y")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseLine(text)
		if err != nil {
			return
		}
		l.hosts.match("[h]:22")
		again, err := parseLine(l.String())
		if err != nil || again.String() != l.String() {
			t.Fatalf("%q reads as %q and then as %q, %v", text, l, again, err)
		}
	})
}
