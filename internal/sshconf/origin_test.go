package sshconf

import (
	"slices"
	"strings"
	"testing"
)

func TestOrigin(t *testing.T) {
	w := person(t, "# one\nMatch all\n  Port 7\n  IdentityFile a\n  IdentityFile b\nHost other\n  User x\nHost *\n  Port 9\n  User y\n", nil)
	w.in.Options = []Setting{{Keyword: "ConnectTimeout", Value: "3"}}
	c := must(t, w.in)
	for name, want := range map[string]string{"port": "config line 3", "IdentityFile": "config line 4", "User": "config line 10",
		"connecttimeout": "the command line", "hostname": "", "nonsense": ""} {
		got := c.Origin(name)
		if want == "" && got != "" || !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := c.Decided(); !slices.Equal(got, []string{"connecttimeout", "identityfile", "port", "user"}) {
		t.Errorf("decided: %q", got)
	}
}
