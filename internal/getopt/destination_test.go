package getopt

import (
	"strings"
	"testing"
)

func TestSplitDestination(t *testing.T) {
	for _, tt := range []struct {
		in, user, host, port string
	}{
		{"h", "", "h", ""},
		{"u@h", "u", "h", ""},
		{"a@b@h", "a@b", "h", ""},
		{`DOM\u@h`, `DOM\u`, "h", ""},
		{"a b@h", "a b", "h", ""},
		{"$x@h", "$x", "h", ""},
		{"::1", "", "::1", ""},
		{"u@[::1]", "u", "[::1]", ""},
		{"fe80::1%eth0", "", "fe80::1%eth0", ""},
		{"h:22", "", "h:22", ""},
		{"a/b", "", "a/b", ""},
		{"SSH://h", "", "SSH://h", ""},
		{"bücher.example", "", "bücher.example", ""},
		{"ssh://h", "", "h", ""},
		{"ssh://h/", "", "h", ""},
		{"ssh://h:", "", "h", ""},
		{"ssh://h:2200/", "", "h", "2200"},
		{"ssh://u@h:2200", "u", "h", "2200"},
		{"ssh://u%40x@h", "u@x", "h", ""},
		{"ssh://a+b@h", "a b", "h", ""},
		{"ssh://u;fingerprint=x@h", "u", "h", ""},
		{"ssh://a_b.c.", "", "a_b.c", ""},
		{"ssh://u@[::1]:22", "u", "::1", "22"},
		{"ssh://[fe80::1%eth0]", "", "fe80::1%eth0", ""},
		{"ssh://[::1]", "", "::1", ""},
		{"ssh://[::1]:", "", "::1", ""},
		{"ssh://[::1]/", "", "::1", ""},
		{"ssh://[h]", "", "h", ""},
		{"ssh://u@[192.0.2.1]:2222/", "u", "192.0.2.1", "2222"},
		{"ssh://[a_b.c.]:22", "", "a_b.c", "22"},
		{"ssh://h:022", "", "h", "22"},
		{"ssh://h:+22", "", "h", "22"},
		{"ssh://u@h:ssh/", "u", "h", "ssh"},
		{"ssh://[::1]:snmp-trap", "", "::1", "snmp-trap"},
	} {
		user, host, port, err := SplitDestination(tt.in)
		if err != nil || user != tt.user || host != tt.host || port != tt.port {
			t.Errorf("%q: %q %q %q, %v; want %q %q %q", tt.in, user, host, port, err, tt.user, tt.host, tt.port)
		}
	}
}

func TestSplitDestinationRefuses(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", "empty"},
		{"@h", "no user"},
		{"u@", "empty"},
		{"-oProxyCommand=x", "hyphen"},
		{"u@-h", "hyphen"},
		{"-u@h", "hyphen"},
		{"$(id)@h", "shell"},
		{"u@h;id", "shell"},
		{"u@h\n", `\n`},
		{"ssh://", "empty"},
		{"ssh://@h", "no user"},
		{"ssh://;x@h", "no user"},
		{"ssh://a@b@h", "%40"},
		{"ssh://-u@h", "hyphen"},
		{"ssh://-h", "no host name"},
		{"ssh://a..b", "no host name"},
		{"ssh://a b", "no host name"},
		{"ssh://%2doProxyCommand@h", "hyphen"},
		{"ssh://u%0a@h", "control"},
		{"ssh://u%00@h", "percent"},
		{"ssh://u%4@h", "percent"},
		{"ssh://u%zz@h", "percent"},
		{"ssh://u%+1@h", "percent"},
		{"ssh://h:0", "port"},
		{"ssh://h:65536", "port"},
		{"ssh://h:SSH", "port"},
		{"ssh://h:a b", "port"},
		{"ssh://h:--", "port"},
		{"ssh://h:-1", "port"},
		{"ssh://h:99999999999999999999", "port"},
		{"ssh://h:22/path", "path"},
		{"ssh://[::1", "bracket"},
		{"ssh://[::1]x", "bracket"},
		{"ssh://[h", "bracket"},
		{"ssh://[h]x", "bracket"},
		{"ssh://a[h]", "no host name"},
		{"ssh://h]:22", "no host name"},
		{"ssh://[]", "empty"},
		{"ssh://[]:22", "empty"},
		{"ssh://[-h]", "no host name"},
		{"ssh://[h;id]", "no host name"},
		{"ssh://[a b]", "no host name"},
		{"ssh://[h..a]", "no host name"},
		{"ssh://[h%25]", "no host name"},
		{"ssh://[[h]]", "bracket"},
		{"ssh://[h]:22:33", "port"},
		{"ssh://[::1;id]", "IPv6"},
		{"ssh://[::1%;id]", "no host name"},
	} {
		user, host, port, err := SplitDestination(tt.in)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %q %q %q, %v; want an error with %q", tt.in, user, host, port, err, tt.want)
		}
		if user != "" || host != "" || port != "" {
			t.Errorf("%q: %q %q %q came with the error", tt.in, user, host, port)
		}
	}
}

func FuzzSplitDestination(f *testing.F) {
	for _, s := range []string{"u@h", "ssh://u%40x@[::1]:22", "ssh://h:1/", "ssh://h:ssh", "-x", "a@b@c", "ssh://[", "ssh://u;@h.", "@@0", "ssh://[h.]:22", "ssh://[::1]:22/", "ssh://[]", "ssh://[a]b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		user, host, port, err := SplitDestination(s)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
				t.Errorf("error %q would act on a terminal", err)
			}
			return
		}
		if ValidHost(host) != nil || ValidUser(user) != nil || strings.ContainsAny(port, " \n\x1b\x00") {
			t.Fatalf("%q passed as %q %q %q", s, user, host, port)
		}
		if strings.HasPrefix(s, "ssh://") {
			return
		}
		if user != "" {
			host = user + "@" + host
		}
		if host != s {
			t.Fatalf("%q came apart as %q", s, host)
		}
	})
}
