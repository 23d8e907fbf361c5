package sshconf

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// names is a name service: from the name as it is asked for to the canonical
// name, which may be "".
type names map[string]string

// resolver answers from names and remembers what it was asked.
func (n names) resolver(asked *[]string) func(string, string) (string, bool, error) {
	return func(network, name string) (string, bool, error) {
		*asked = append(*asked, network+" "+name)
		if n[name] == "broken" {
			return "", false, errors.New("server misbehaving")
		}
		cname, found := n[name]
		return cname, found, nil
	}
}

const domains = "CanonicalDomains A.net b.net\n"

func TestCanonicalize(t *testing.T) {
	world := names{
		"web1.b.net.": "web1.b.net.", "full.b.net.": "", "web1.x.": "", "alias.a.net.": "Real.C.net.",
		"bare": "bare.search.net", "ugly.a.net.": "-x", "sad.a.net.": "broken", "x.y.a.net.": "",
	}
	tests := []struct {
		name, host, config string
		want               string   // the host's name
		asked              []string // what was looked up
		fails              string
	}{
		{name: "no", config: domains, want: "web1"},
		{name: "yes", config: "CanonicalizeHostname yes\n" + domains, want: "web1.b.net", asked: []string{"ip web1.a.net.", "ip web1.b.net."}},
		{name: "always", config: "CanonicalizeHostname always\n" + domains, want: "web1.b.net", asked: []string{"ip web1.a.net.", "ip web1.b.net."}},
		{name: "lower case first", host: "WEB1", config: "CanonicalizeHostname yes\nCanonicalDomains B.net.\n", want: "web1.b.net", asked: []string{"ip web1.b.net."}},
		{name: "of HostName", config: "HostName full\nCanonicalizeHostname yes\nCanonicalDomains b.net\n", want: "full.b.net", asked: []string{"ip full.b.net."}},
		{name: "address family", config: "AddressFamily inet6\nCanonicalizeHostname yes\nCanonicalDomains b.net\n", want: "web1.b.net", asked: []string{"ip6 web1.b.net."}},
		{name: "address", host: "10.1", config: "CanonicalizeHostname always\nCanonicalizePermittedCNAMEs *\n" + domains, want: "10.0.0.1"},
		{name: "bad address", host: "1.2.3.4.5", config: "CanonicalizeHostname always\n" + domains, want: "1.2.3.4.5"},
		{name: "two dots are enough", host: "x.y.z", config: "CanonicalizeHostname yes\n" + domains, want: "x.y.z"},
		{name: "one dot is not", host: "x.y", config: "CanonicalizeHostname yes\n" + domains, want: "x.y.a.net", asked: []string{"ip x.y.a.net."}},
		{name: "max dots", host: "x.y", config: "CanonicalizeHostname yes\nCanonicalizeMaxDots 0\n" + domains, want: "x.y"},
		{name: "anchored", host: "web1.x.", config: "CanonicalizeHostname yes\nCanonicalizeMaxDots 0\n" + domains, want: "web1.x", asked: []string{"ip web1.x."}},
		{name: "anchored and absent", host: "no.x.", config: "CanonicalizeHostname yes\n" + domains, want: "no.x.", asked: []string{"ip no.x."}},
		{name: "no domains", config: "CanonicalizeHostname yes\n", want: "web1"},
		{name: "domain none", config: "CanonicalizeHostname yes\nCanonicalDomains none\n", want: "web1"},
		{name: "nowhere", host: "no", config: "CanonicalizeHostname yes\n" + domains, want: "no", asked: []string{"ip no.a.net.", "ip no.b.net."}},
		{name: "nowhere, no fallback", host: "no", config: "CanonicalizeHostname yes\nCanonicalizeFallbackLocal no\n" + domains,
			asked: []string{"ip no.a.net.", "ip no.b.net."}, fails: `Could not resolve host "no"`},
		{name: "many dots need no fallback", host: "a.b.c", config: "CanonicalizeHostname yes\nCanonicalizeFallbackLocal no\n" + domains, want: "a.b.c"},
		{name: "proxy", config: "CanonicalizeHostname yes\nProxyCommand x\n" + domains, want: "web1"},
		{name: "jump host", config: "CanonicalizeHostname yes\nProxyJump j\nCanonicalizePermittedCNAMEs *\n" + domains, want: "web1"},
		{name: "no proxy", config: "CanonicalizeHostname yes\nProxyCommand none\nCanonicalDomains b.net\n", want: "web1.b.net", asked: []string{"ip web1.b.net."}},
		{name: "no jump host", config: "CanonicalizeHostname yes\nProxyJump none\nCanonicalDomains b.net\n", want: "web1.b.net", asked: []string{"ip web1.b.net."}},
		{name: "always behind a proxy", config: "CanonicalizeHostname always\nProxyJump j\nCanonicalDomains b.net\n", want: "web1.b.net", asked: []string{"ip web1.b.net."}},

		{name: "cname not permitted", host: "alias", config: "CanonicalizeHostname yes\n" + domains, want: "alias.a.net", asked: []string{"ip alias.a.net."}},
		{name: "cname none", host: "alias", config: "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs none\n" + domains, want: "alias.a.net", asked: []string{"ip alias.a.net."}},
		{name: "cname", host: "alias", config: "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs x:y *.a.net:*.C.net\n" + domains, want: "alias.a.net", asked: []string{"ip alias.a.net."}},
		{name: "cname any", host: "alias", config: "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *.A.net:*\n" + domains, want: "real.c.net", asked: []string{"ip alias.a.net."}},
		{name: "cname ugly", host: "ugly", config: "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *\n" + domains, want: "ugly.a.net", asked: []string{"ip ugly.a.net."}},
		{name: "cname of the bare name", host: "bare", config: "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs bare:*.search.net\n", want: "bare.search.net", asked: []string{"ip bare"}},
		{name: "cname after many dots", host: "a.b.c", config: "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *\n" + domains,
			asked: []string{"ip a.b.c"}, fails: "Could not resolve hostname a.b.c: Name or service not known"},
		{name: "cname behind a proxy", host: "gone", config: "CanonicalizeHostname always\nProxyCommand x\nCanonicalizePermittedCNAMEs *\n", want: "gone", asked: []string{"ip gone"}},
		{name: "cname without canonicalisation", host: "bare", config: "CanonicalizePermittedCNAMEs *\n", want: "bare"},
		{name: "trouble", host: "sad", config: "CanonicalizeHostname yes\n" + domains, asked: []string{"ip sad.a.net."},
			fails: "canonicalize hostname sad.a.net.: server misbehaving"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := person(t, tt.config, nil)
			if tt.host != "" {
				w.in.Host = tt.host
			}
			var asked []string
			w.in.Lookup = world.resolver(&asked)
			c, err := Resolve(w.in)
			if !slices.Equal(asked, tt.asked) {
				t.Errorf("asked %q, want %q", asked, tt.asked)
			}
			if tt.fails != "" {
				if err == nil || err.Error() != tt.fails {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || c.HostName() != tt.want {
				t.Errorf("got %v, %v", c.HostName(), err)
			}
		})
	}
}

// The second pass sees the canonical name and cannot change what it came from.
func TestSecondPassAfterCanonicalisation(t *testing.T) {
	w := person(t, `CanonicalizeHostname yes
CanonicalDomains b.net
Host web1
  User short
Host *.b.net
  Port 7
  HostName elsewhere
Match canonical host web1.b.net originalhost web1
  IdentityFile canonical
Match final
  IdentityFile final
  CanonicalizeHostname no
  CanonicalizeMaxDots 9
Match !canonical host web1.b.net
  IdentityFile never
Match !final host web1
  IdentityFile first
`, nil)
	var asked []string
	w.in.Lookup = names{"web1.b.net.": ""}.resolver(&asked)
	d, err := w.resolve()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"host": "web1", "hostname": "web1.b.net", "user": "short", "port": "7", "identityfile": "first|canonical|final",
		"canonicalizehostname": "true", "canonicalizemaxdots": "1", "canonicaldomains": "b.net",
	} {
		if d[key] != want {
			t.Errorf("%s: got %q, want %q", key, d[key], want)
		}
	}
	if len(asked) != 1 {
		t.Errorf("asked %q", asked)
	}
}

// Nobody needs to be there for a question that is not asked.
func TestCanonicalizeWithoutLookup(t *testing.T) {
	for config, fails := range map[string]bool{
		"CanonicalizeHostname yes": false, "CanonicalDomains a.net": false, "CanonicalizeHostname yes\nCanonicalDomains a.net\nProxyJump j": false,
		"CanonicalizeHostname yes\nCanonicalDomains a.net": true,
	} {
		_, err := Resolve(person(t, config, nil).in)
		if (err != nil) != fails || fails && !strings.Contains(err.Error(), "CanonicalizeHostname needs web1.a.net. to be looked up") {
			t.Errorf("%q: %v", config, err)
		}
	}
}

func TestBadCNAMEIsNoted(t *testing.T) {
	w := person(t, "CanonicalizeHostname yes\nCanonicalDomains a.net\nCanonicalizePermittedCNAMEs *", nil)
	w.in.Lookup = func(string, string) (string, bool, error) { return "$(x).net", true, nil }
	c := must(t, w.in)
	if c.HostName() != "web1.a.net" || len(c.Warnings()) != 1 || !strings.HasPrefix(c.Warnings()[0], `ignoring bad CNAME "$(x).net"`) {
		t.Errorf("%s, %q", c.HostName(), c.Warnings())
	}
}

func TestAddresses(t *testing.T) {
	for host, want := range map[string]string{
		"10.0.0.1": "10.0.0.1", "127.1": "127.0.0.1", "1": "0.0.0.1", "0x7f.0.1": "127.0.0.1", "010.0.0.1": "8.0.0.1", "1.256": "1.0.1.0",
		"FE80::1": "FE80::1", "FE80:0::1": "fe80::1", "::ffff:1.2.3.4": "::ffff:1.2.3.4", "0::1.2.3.4": "::1.2.3.4",
		"1.2.3.256": "1.2.3.256", "1.2.3.4.5": "1.2.3.4.5", "ABC": "abc", "0xG": "0xg", "A:B": "A:B",
	} {
		w := person(t, "", nil)
		w.in.Host = host
		if got := must(t, w.in).HostName(); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
	for config, want := range map[string]string{"AddressFamily inet6": "127.1", "AddressFamily inet": "127.0.0.1"} {
		w := person(t, config, nil)
		w.in.Host = "127.1"
		if got := must(t, w.in).HostName(); got != want {
			t.Errorf("%s: got %s, want %s", config, got, want)
		}
	}
}
