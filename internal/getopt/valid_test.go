package getopt

import (
	"fmt"
	"strings"
	"testing"
)

// TestEveryByte holds both rules, byte by byte, to lists written down a second
// time here, at the start, inside and at the end of a name.
func TestEveryByte(t *testing.T) {
	const host = "'`\"$\\;&<>|(){}, "
	const user = "'`\";&<>|(){}"
	for i := range 256 {
		c := string([]byte{byte(i)})
		control := i < ' ' || i == 0x7f
		for _, name := range []string{c, c + "a", "a" + c + "a", "a" + c} {
			leads := name[0] == '-'
			if got, want := ValidHost(name) == nil, !control && !leads && !strings.Contains(host, c); got != want {
				t.Errorf("host %q passes: %v, want %v", name, got, want)
			}
			last := strings.HasSuffix(name, `\`)
			if got, want := ValidUser(name) == nil, !control && !leads && !last && !strings.Contains(user, c); got != want {
				t.Errorf("user %q passes: %v, want %v", name, got, want)
			}
		}
	}
}

func TestValidEdges(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{ValidHost(""), "empty"},
		{ValidUser(""), ""},
		{ValidUser("a -b"), "hyphen"},
		{ValidUser("a- b"), ""},
		{ValidUser(`a\b`), ""},
		{ValidHost("x\x1b]52;c;aGk=\a"), `"x\x1b]52;c;aGk=\a"`},
	} {
		if got := fmt.Sprint(tt.err); tt.want == "" && tt.err != nil || !strings.Contains(got, tt.want) {
			t.Errorf("got %s, want %q", got, tt.want)
		}
	}
}
