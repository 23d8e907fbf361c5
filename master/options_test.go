package master

import (
	"path/filepath"
	"strings"
	"testing"

	"muxd/control"
	"muxd/internal/getopt"
	"muxd/internal/sshtest"
)

// Every letter of ssh's is carried out, changes nothing, or is refused in a
// sentence of its own. None is missed.
func TestEveryOptionOfSsh(t *testing.T) {
	refused := map[byte]string{
		'A': "-A: agent forwarding is not carried out by this version", 'D': "-D: dynamic forwarding is not", 'E': "-E: a log file is not",
		'f': "-f: going to the background is not", 'G': "-G: printing the configuration is not", 'I': "-I: PKCS#11 is not",
		'K': "-K: GSSAPI is not", 'L': "-L: local forwarding is not", 'M': "-M: a ControlMaster of ssh's kind is not", 'N': "-N: a connection without a command is not",
		'Q': "-Q: queries is not", 'R': "-R: remote forwarding is not", 'S': "-S: a ControlPath is not", 'W': "-W: stdio forwarding is not",
		'w': "-w: tunnel devices is not", 'X': "-X: X11 forwarding is not", 'Y': "-Y: X11 forwarding is not", 'Z': "",
	}
	// carried is what becomes of the rest: a keyword and its value, or "" for
	// what is no keyword or changes nothing.
	set := map[byte][3]string{ // option's value, keyword, value
		'4': {"", "addressfamily", "inet"}, '6': {"", "addressfamily", "inet6"}, 'C': {"", "compression", "yes"},
		'n': {"", "stdinnull", "yes"}, 'q': {"", "loglevel", "QUIET"}, 'T': {"", "requesttty", "no"}, 't': {"", "requesttty", "yes"},
		'B': {"lo", "bindinterface", "lo"}, 'b': {"192.0.2.1", "bindaddress", "192.0.2.1"}, 'c': {"aes128-ctr", "ciphers", "aes128-ctr"},
		'e': {"none", "escapechar", "none"}, 'i': {"/key", "identityfile", "/key"}, 'l': {"you", "user", "you"}, 'm': {"hmac-sha2-256", "macs", "hmac-sha2-256"},
		'J': {"hop", "proxyjump", "hop"}, 'p': {"2222", "port", "2222"}, 'P': {"tag", "tag", "tag"}, 'o': {"Compression=yes", "compression", "yes"},
		'F': {"none", "", ""}, 'O': {"check", "", ""}, 's': {}, 'v': {}, 'a': {}, 'g': {}, 'k': {}, 'x': {}, 'y': {}, '1': {}, '2': {},
	}
	resolved(t, func(t *testing.T, r *rig) {
		for _, letter := range []byte(strings.ReplaceAll(getopt.SSH, ":", "")) {
			takes := strings.Contains(getopt.SSH, string(letter)+":")
			args := []string{"-" + string(letter)}
			want, isSet := set[letter]
			if takes {
				value := want[0]
				if value == "" {
					value = "x"
				}
				args = append(args, value)
			}
			plan, err := r.plan(nil, append(args, "host", "true")...)
			if text, no := refused[letter]; no {
				wantError(t, err, control.NotDialled, text)
				continue
			}
			if letter == 'V' { // muxc answers it
				continue
			}
			if err != nil || !isSet {
				t.Errorf("-%c: %v; known here: %v", letter, err, isSet)
				continue
			}
			if want[1] == "" {
				continue
			}
			got, ok := plan.Session.Dest.(*destination).conf.Get(want[1])
			if !ok || !strings.EqualFold(strings.Join(got, " "), want[2]) {
				t.Errorf("-%c: %s is %q", letter, want[1], got)
			}
		}
	})
}

func TestOptionErrors(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for args, text := range map[string]string{
			"-O check -O exit host": "only one -O is possible", "-o": "-o", "-o Port host": "port", "-o Port=x host": "x", "-p 0x host": "0x",
			"-d host": "-d", "-o NoSuch=1 host": "nosuch", "-o RequestTTY=perhaps host": "perhaps",
		} {
			_, err := r.plan(nil, strings.Fields(args)...)
			wantError(t, err, control.NotDialled, text)
		}
	})
}

func TestTheFirstSettingCounts(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		d := r.request("-p", "1", "-o", "Port=2", "-o", "User=a", "-l", "b", "c@host", "true").Dest.(*destination)
		if d.port != 1 || d.user != "a" {
			t.Errorf("%s %d", d.user, d.port)
		}
		d = r.request("ssh://you@host:77", "true").Dest.(*destination)
		if d.port != 77 || d.user != "you" || d.host != "host" || d.name != "ssh://you@host:77" {
			t.Errorf("%+v", d)
		}
	})
}

// Files on the command line are the client's, whose directory is not muxd's.
func TestRelativeFiles(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		for _, dir := range []string{"/work", "/my dir/100%/a\"b"} {
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
				{[]string{"-i", "/abs/key"}, "identityfile", "/abs/key"},
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
				plan, err := r.m.Resolve(t.Context(), &control.Invocation{Args: append(c.args, "host", "true"), Dir: dir, Env: []string{"HOME=/env"}}, nil)
				if err != nil {
					t.Errorf("%q in %s: %v", c.args, dir, err)
					continue
				}
				conf := plan.Session.Dest.(*destination).conf
				files, _ := conf.IdentityFiles()
				if c.key == "certificatefile" {
					files = conf.CertificateFiles()
				}
				got := paths(files)
				if g := strings.Join(got, "|"); g != c.want && !(c.want == "none" && g == "") {
					t.Errorf("%q in %s: %q, want %q", c.args, dir, g, c.want)
				}
			}
			for _, c := range []struct{ value, want string }{
				{"a b", at("a", "b")}, {"none", "none"}, {"/a b", at("/a", "b")},
			} {
				plan, err := r.m.Resolve(t.Context(), &control.Invocation{Args: []string{"-o", "UserKnownHostsFile=" + c.value, "host", "true"}, Dir: dir}, nil)
				if err != nil {
					t.Errorf("%q: %v", c.value, err)
					continue
				}
				got := plan.Session.Dest.(*destination).conf.UserKnownHostsFiles()
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
			if got := r.request("-o", "IdentityAgent="+value, "host", "true").Dest.(*destination).agent; got != want {
				t.Errorf("%s: %q, want %q", value, got, want)
			}
		}
		if got := r.request("host", "true").Dest.(*destination).agent; got != "/run/agent" {
			t.Errorf("unset: %q", got)
		}
	})
}
