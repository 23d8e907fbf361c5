package dest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muxd/control"
	"muxd/internal/getopt"
)

// Every letter of ssh's is carried out, changes nothing, or is refused in a
// sentence of its own. None is missed.
func TestEveryOptionOfSsh(t *testing.T) {
	refused := map[byte][2]string{ // value, sentence
		'K': {"", "-K: the SSH library of muxd has no GSSAPI; call ssh"}, 'w': {"0", "-w: a tunnel device needs privileges"},
		'Z': {"", "-Z is not known to this version"},
		'1': {"", "-1: SSH protocol 1 is no longer supported"},
	}
	// set is what becomes of the rest: a keyword and its value, or "" for what is
	// no keyword or changes nothing in the configuration.
	set := map[byte][3]string{ // option's value, keyword, value
		'4': {"", "addressfamily", "inet"}, '6': {"", "addressfamily", "inet6"}, 'C': {"", "compression", "yes"},
		'n': {"", "stdinnull", "yes"}, 'q': {"", "loglevel", "QUIET"}, 'v': {"", "loglevel", "DEBUG"}, 'T': {"", "requesttty", "no"}, 't': {"", "requesttty", "yes"},
		'B': {"lo", "bindinterface", "lo"}, 'b': {"192.0.2.1", "bindaddress", "192.0.2.1"}, 'c': {"aes128-ctr", "ciphers", "aes128-ctr"},
		'e': {"none", "escapechar", "none"}, 'i': {"/dev/null", "identityfile", "/dev/null"}, 'l': {"you", "user", "you"}, 'm': {"hmac-sha2-256", "macs", "hmac-sha2-256"},
		'J': {"hop", "proxyjump", "hop"}, 'p': {"2222", "port", "2222"}, 'P': {"tag", "tag", "tag"}, 'o': {"Compression=yes", "compression", "yes"},
		'I': {"/lib/p11.so", "pkcs11provider", "/lib/p11.so"}, 'M': {"", "controlmaster", "yes"}, 'S': {"/nobody", "controlpath", "/nobody"},
		'a': {"", "forwardagent", "no"}, 'g': {"", "gatewayports", "yes"}, 'k': {"", "gssapidelegatecredentials", "no"}, 'x': {"", "forwardx11", "no"},
		'A': {"", "forwardagent", "yes"}, 'X': {"", "forwardx11", "yes"}, 'Y': {"", "forwardx11trusted", "yes"},
		'D': {"1080", "dynamicforward", "1080"}, 'L': {"1:h:2", "localforward", "1:h:2"}, 'R': {"1:h:2", "remoteforward", "1:h:2"},
		'f': {"", "forkafterauthentication", "yes"}, 's': {"", "sessiontype", "subsystem"},
		'F': {"none", "", ""}, 'E': {"/dev/null", "", ""}, 'y': {}, '2': {},
	}
	plans := map[byte]func(p *control.Plan) bool{ // what is no session
		'O': func(p *control.Plan) bool { return p.Manage != nil }, 'G': func(p *control.Plan) bool { return p.Text != nil },
		'N': func(p *control.Plan) bool { return p.Hold != nil }, 'Q': func(p *control.Plan) bool { return p.Text != nil },
		'W': func(p *control.Plan) bool { return p.Direct != nil },
	}
	values := map[byte]string{'O': "check", 'Q': "cipher", 'W': "h:1"}
	resolved(t, func(t *testing.T, r *rig) {
		for _, letter := range []byte(strings.ReplaceAll(getopt.SSH, ":", "")) {
			if letter == 'V' { // muxc answers it
				continue
			}
			args := []string{"-" + string(letter)}
			want, isSet := set[letter]
			if strings.Contains(getopt.SSH, string(letter)+":") {
				args = append(args, refused[letter][0]+want[0]+values[letter])
			}
			plan, err := r.plan(nil, append(args, "host", "true")...)
			if no, is := refused[letter]; is {
				wantError(t, err, control.NotDialled, no[1])
				continue
			}
			if plans[letter] != nil {
				if err != nil || !plans[letter](plan) {
					t.Errorf("-%c: %+v, %v", letter, plan, err)
				}
				continue
			}
			if err != nil || !isSet {
				t.Errorf("-%c: %v; known here: %v", letter, err, isSet)
				continue
			}
			if want[1] == "" {
				continue
			}
			got, ok := plan.Session.Dest.(*Destination).Conf.Get(want[1])
			if !ok || !strings.EqualFold(strings.Join(got, " "), want[2]) {
				t.Errorf("-%c: %s is %q", letter, want[1], got)
			}
		}
	})
}

// Who asks for a ControlPath to be served, and how.
func TestControlPathIsServed(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for args, want := range map[string]string{
			"-M -S /some/ctl -N host":                                      "/some/ctl",
			"-MM -S /some/ctl host true":                                   "/some/ctl confirm",
			"-M -S ctl host":                                               r.home + "/ctl",
			"-M -N host":                                                   "",
			"-S /some/ctl host true":                                       "",
			"-M -S none host true":                                         "",
			"-o ControlPath=/some/%n.%r host true":                         "",
			"-o ControlMaster=auto -S /some/ctl host":                      "/some/ctl shared",
			"-o ControlMaster=autoask -S /some/ctl host":                   "/some/ctl confirm shared",
			"-o ControlMaster=yes -o ControlPersist=10m -S /some/ctl host": "/some/ctl shared stay",
			"-M -o ControlPersist=no -S /some/ctl host":                    "/some/ctl",
			"-M -o ControlPersist=yes -S /some/ctl host":                   "/some/ctl stay",
			"-o ControlMaster=auto -S /some/ctl -O check host":             "",
		} {
			plan, err := r.plan(nil, strings.Fields(args)...)
			if err != nil {
				t.Errorf("%s: %v", args, err)
				continue
			}
			got := ""
			if l := plan.Listen; l != nil {
				got = l.Path
				if l.Confirm {
					got += " confirm"
				}
				if l.Shared {
					got += " shared"
				}
				if l.Stay {
					got += " stay"
				}
			}
			if got != want || plan.Serves != (want != "") {
				t.Errorf("%s: served %q (%v), want %q", args, got, plan.Serves, want)
			}
		}
	})
}

// Which of two settings of the same thing counts: for most the first one, but
// these options overrule every -o and each other, as in ssh.
func TestOptionsThatOverrule(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for _, c := range [][3]string{
			{"-o Ciphers=aes128-ctr -c aes256-ctr", "ciphers", "aes256-ctr"}, {"-c aes256-ctr -o Ciphers=aes128-ctr", "ciphers", "aes256-ctr"},
			{"-c aes256-ctr -c aes128-ctr", "ciphers", "aes128-ctr"}, {"-4 -6", "addressfamily", "inet6"}, {"-o AddressFamily=any -4", "addressfamily", "inet"},
			{"-A -a", "forwardagent", "no"}, {"-o ForwardX11=yes -x", "forwardx11", "no"}, {"-o StdinNull=no -n", "stdinnull", "yes"},
			{"-o Port=1 -p 2", "port", "1"}, {"-p 2 -o Port=1", "port", "2"}, {"-p 2 -p 1", "port", "2"}, {"-l a -l b", "user", "a"},
			{"-o BindAddress=192.0.2.1 -b 192.0.2.2", "bindaddress", "192.0.2.2"}, {"-e a -e b", "escapechar", "b"}, {"-o Compression=no -C", "compression", "yes"},
		} {
			plan, err := r.plan(nil, append(append([]string{"-G"}, strings.Fields(c[0])...), "host")...)
			if err != nil || !strings.Contains("\n"+string(plan.Text), "\n"+c[1]+" "+c[2]+"\n") {
				t.Errorf("%s: %v; %s is not %s", c[0], err, c[1], c[2])
			}
		}
	})
}

// The level of a request's own debug lines, by ssh's rules.
func TestLogLevel(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for args, want := range map[string]string{
			"": "INFO", "-v": "DEBUG", "-vv": "DEBUG2", "-vvv": "DEBUG3", "-vvvv": "DEBUG3", "-q": "QUIET", "-q -v": "DEBUG", "-v -q": "QUIET",
			"-v -o LogLevel=ERROR": "DEBUG", "-o LogLevel=ERROR": "ERROR", "-o LogLevel=ERROR -q": "QUIET",
		} {
			conf := r.request(append(strings.Fields(args), "host", "true")...).Dest.(*Destination).Conf
			if got := conf.LogLevel(); got != want {
				t.Errorf("%q: %s, want %s", args, got, want)
			}
		}
	})
}

// An identity that is not there costs a remark, and the default keys are tried.
func TestIdentityThatIsNotThere(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		there := r.write("key", "")
		p := silent()
		plan, err := r.plan(p, "-i", "missing", "-i", "key", "host", "true")
		if err != nil {
			t.Fatal(err)
		}
		if files, _ := plan.Session.Dest.(*Destination).Conf.IdentityFiles(); len(files) != 1 || files[0].Path != there {
			t.Errorf("identities %v", files)
		}
		if p.Told() != "Warning: Identity file missing not accessible: no such file or directory." {
			t.Errorf("told %q", p.Told())
		}
		p = silent()
		if _, err := r.plan(p, "-i", "", "host", "true"); err != nil || !strings.Contains(p.Told(), "it has no name") {
			t.Errorf("an empty name: %v, told %q", err, p.Told())
		}
	})
}

func TestOptionErrors(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for args, text := range map[string]string{
			"-O check -O exit host": "only one -O is possible", "-W a:1 -W b:2 host": "only one -W", "-W a host": "Bad stdio forwarding specification 'a'",
			"-W :22 host": "Bad stdio", "-W a:0 host": "Bad stdio", "-N -s host": "only one of -N, -s and -W", "-s -W a:1 host": "only one of -N, -s and -W",
			"-J a -J b host": "only one -J is possible", "-f host": "Cannot fork into background without a command", "-Q nothing": "unsupported query", "-o": "-o", "-o Port host": "port", "-o Port=x host": "x", "-p 0x host": "0x",
			"-d host": "-d", "-o NoSuch=1 host": "nosuch", "-o RequestTTY=perhaps host": "perhaps",
		} {
			_, err := r.plan(nil, strings.Fields(args)...)
			wantError(t, err, control.NotDialled, text)
		}
	})
}

func TestTheFirstSettingCounts(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		d := r.request("-p", "1", "-o", "Port=2", "-o", "User=a", "-l", "b", "c@host", "true").Dest.(*Destination)
		if d.Port != 1 || d.User != "a" {
			t.Errorf("%s %d", d.User, d.Port)
		}
		d = r.request("ssh://you@host:77", "true").Dest.(*Destination)
		if d.Port != 77 || d.User != "you" || d.Host != "host" || d.Name != "ssh://you@host:77" {
			t.Errorf("%+v", d)
		}
		if d = r.request("ssh://host:ssh", "true").Dest.(*Destination); d.Port != 22 {
			t.Errorf("%+v", d)
		}
		_, err := r.plan(nil, "ssh://host:no-such", "true")
		wantError(t, err, control.NotDialled, "Bad port 'no-such'")
	})
}

// Files on the command line are the client's, whose directory is not muxd's.
func TestRelativeFiles(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for _, dir := range []string{r.home + "/work", r.home + "/my dir/100%/a\"b"} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{dir + "/key", filepath.Dir(dir) + "/key", dir + "/my key", r.home + "/key"} {
				if err := os.WriteFile(key, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			at := func(names ...string) string {
				for i, n := range names {
					if !filepath.IsAbs(n) && n != "none" {
						names[i] = filepath.Join(dir, n)
					}
				}
				return strings.Join(names, "|")
			}
			home := r.home
			for _, c := range []struct {
				args []string
				key  string
				want string
			}{
				{[]string{"-i", "key"}, "identityfile", at("key")},
				{[]string{"-i", "./key"}, "identityfile", at("key")},
				{[]string{"-i", "../key"}, "identityfile", at("../key")},
				{[]string{"-i", "/dev/null"}, "identityfile", "/dev/null"},
				{[]string{"-i", "~/key"}, "identityfile", home + "/key"},
				{[]string{"-i", "%d/key"}, "identityfile", home + "/key"},
				{[]string{"-i", "${HOME}/key"}, "identityfile", "/env/key"},
				{[]string{"-i", "key-%h"}, "identityfile", at("key-host")},
				{[]string{"-i", "my key"}, "identityfile", at("my key")},
				{[]string{"-o", "IdentityFile=key"}, "identityfile", at("key")},
				{[]string{"-o", "identityfile key"}, "identityfile", at("key")},
				{[]string{"-o", `IdentityFile="my key"`}, "identityfile", at("my key")},
				{[]string{"-o", "IdentityFile=none"}, "identityfile", "none"},
				{[]string{"-o", "CertificateFile=c"}, "certificatefile", at("c")},
			} {
				plan, err := r.Resolve(t.Context(), &control.Invocation{Args: append(c.args, "host", "true"), Dir: dir, Env: []string{"HOME=/env"}}, silent())
				if err != nil {
					t.Errorf("%q in %s: %v", c.args, dir, err)
					continue
				}
				conf := plan.Session.Dest.(*Destination).Conf
				files, _ := conf.IdentityFiles()
				if c.key == "certificatefile" {
					files = conf.CertificateFiles()
				}
				got := Paths(files)
				if g := strings.Join(got, "|"); g != c.want && !(c.want == "none" && g == "") {
					t.Errorf("%q in %s: %q, want %q", c.args, dir, g, c.want)
				}
			}
			for _, c := range []struct{ value, want string }{
				{"a b", at("a", "b")}, {"none", "none"}, {"/a b", at("/a", "b")},
			} {
				plan, err := r.Resolve(t.Context(), &control.Invocation{Args: []string{"-o", "UserKnownHostsFile=" + c.value, "host", "true"}, Dir: dir}, silent())
				if err != nil {
					t.Errorf("%q: %v", c.value, err)
					continue
				}
				got := plan.Session.Dest.(*Destination).Conf.UserKnownHostsFiles()
				if g := strings.Join(got, "|"); g != c.want && !(c.want == "none" && g == "") {
					t.Errorf("%q in %s: %q, want %q", c.value, dir, g, c.want)
				}
			}
		}
	})
}

func TestAgentIsNoFile(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.env = []string{"SSH_AUTH_SOCK=/run/agent", "MY=/run/mine"}
		for value, want := range map[string]string{
			"SSH_AUTH_SOCK": "/run/agent", "none": "", "$MY": "/run/mine", "agent.sock": r.home + "/agent.sock", "/abs": "/abs",
		} {
			if got := r.request("-o", "IdentityAgent="+value, "host", "true").Dest.(*Destination).Agent; got != want {
				t.Errorf("%s: %q, want %q", value, got, want)
			}
		}
		if got := r.request("host", "true").Dest.(*Destination).Agent; got != "/run/agent" {
			t.Errorf("unset: %q", got)
		}
	})
}

func TestUnknownManage(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for command, text := range map[string]string{
			"nonsense": "host: invalid multiplex command",
		} {
			_, err := r.plan(nil, "-O", command, "host")
			wantError(t, err, control.NotDialled, text)
		}
	})
}
