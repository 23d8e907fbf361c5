package dest

import (
	"testing"

	"muxd/control"
)

// Names that a shell or an option parser would act on are refused wherever
// they come from: a program that writes a configuration, or a repository's URL
// behind %h, is not to be trusted with more than a name.
func TestNamesOutOfTheConfiguration(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{ // want "": it is fine
		{"option as HostName", "HostName -oProxyCommand=x", "hyphen"},
		{"command in HostName", "HostName a;b", `';'`},
		{"backtick in HostName", "HostName a`id`", "'`'"},
		{"dollar in HostName", "HostName a$(id)", `'$'`},
		{"blank in HostName", `HostName "a b"`, `' '`},
		{"comma in HostName", "HostName a,b", `','`},
		{"backslash in HostName", `HostName a\b`, `'\\'`},
		{"quote in HostName", `HostName "a'b"`, `'\''`},
		{"token in HostName", "HostName %h;x", `';'`},
		{"control character in HostName", "HostName a\x01b", "control"},
		{"delete in HostName", "HostName a\x7fb", "control"},
		{"zone in HostName", "HostName fe80::1%%eth0", ""},
		{"dot at the end of HostName", "HostName host.example.", ""},
		{"command in User", "User $(id)", `'('`},
		{"backtick in User", "User `id`", "'`'"},
		{"semicolon in User", "User a;b", `';'`},
		{"pipe in User", "User a|b", `'|'`},
		{"option as User", "User -x", "hyphen"},
		{"option behind a blank in User", `User "a -b"`, "hyphen"},
		{"backslash at the end of User", `User "a\\\\"`, "backslash"},
		{"environment in User", "User ${EVIL}", "invalid characters"},
		{"newline by environment in User", "User ${LINE}", "invalid characters"},
		{"domain in User", `User DOMAIN\user`, ""},
		{"blank in User", `User "john smith"`, ""},
		{"dollar in User", "User a$b", ""},
		{"command in a jump", "ProxyJump a;b", `';'`},
		{"option as a jump", "ProxyJump -oProxyCommand=x", "hyphen"},
		{"command in a first jump", "ProxyJump a;b,fine", `';'`},
		{"user of a jump", "ProxyJump a|b@fine", `'|'`},
		{"user of a jump's URI", "ProxyJump ssh://a%60id%60@fine", "'`'"},
		{"newline in a jump's URI", "ProxyJump ssh://a%0Ab@fine", "control"},
		{"token in a jump", "ProxyJump %n$x", `'$'`},
		{"jump with a bad HostName", "ProxyJump evil", `';'`},
		{"jump with a bad User", "ProxyJump eviluser", `'&'`},
		{"jump of a jump", "ProxyJump behind", `';'`},
	} {
		t.Run(c.name, func(t *testing.T) {
			resolved(t, func(t *testing.T, r *rig) {
				r.env = []string{"EVIL=a;b", "LINE=a\nb"}
				r.write(".ssh/config", "Host evil\n HostName a;b\nHost eviluser\n User a&b\nHost behind\n ProxyJump evil\nHost x\n "+c.config+"\n")
				_, err := r.plan(nil, "x", "true")
				if c.want != "" {
					wantError(t, err, control.NotDialled, c.want)
				} else if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// On the command line the same names are refused, before the configuration is
// asked about them.
func TestNamesOnTheCommandLine(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for _, args := range [][]string{
			{"--", "-oProxyCommand=x", "true"}, {"a;b", "true"}, {"$(id)@host", "true"}, {"-l", "a;b", "host", "true"},
			{"-J", "a;b", "host", "true"}, {"-J", "u`id`@b", "host", "true"}, {"-J", "-x", "host", "true"},
			{"-oUser=a;b", "host", "true"}, {"-oHostName=-x", "host", "true"}, {"-oProxyJump=a;b", "host", "true"},
			{"ssh://a%3Bb@host", "true"}, {"a\nb", "true"}, {"", "true"},
		} {
			if _, err := r.plan(nil, args...); err == nil {
				t.Errorf("%q is taken", args)
			}
		}
	})
}
