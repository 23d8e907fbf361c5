package sshconf

import (
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"muxd/internal/sshtest"
)

// tolerance is a difference from the ssh that is installed: pairs of our value
// and its value, which are the only ones that may differ. Every other pair
// is a fault.
type tolerance struct {
	why   string
	pairs [][2]string
	only  func(theirs dump) bool // nil is always
}

// absent is the value of a keyword that is not printed.
const absent = "(absent)"

const identities92 = "~/.ssh/id_rsa|~/.ssh/id_ecdsa|~/.ssh/id_ecdsa_sk|~/.ssh/id_ed25519|~/.ssh/id_ed25519_sk|~/.ssh/id_xmss|~/.ssh/id_dsa"

// tolerated is the whole list of differences between Dump and ssh -G. Two more
// are by intent and do not show here, because the tests make no such offer:
// serveraliveinterval and controlpersist are printed as muxd has them where
// nothing is configured. So are the algorithms, which are those of muxd.
var tolerated = map[string]tolerance{
	"loglevel":          {why: "Debian has another name for it", pairs: [][2]string{{"QUIET", "SILENT"}}},
	"forwardx11trusted": {why: "Debian has another default", pairs: [][2]string{{"no", "yes"}}},
	"serveraliveinterval": {why: "Debian has another default for BatchMode", pairs: [][2]string{{"0", "300"}},
		only: func(theirs dump) bool { return theirs["batchmode"] == "yes" }},
	"compression": {why: "OpenSSH 10.5 has no name for what -C sets", pairs: [][2]string{{"yes", "UNKNOWN"}}},
	"ipqos":       {why: "the default changed in 10.1", pairs: [][2]string{{"ef cs0", "lowdelay throughput"}, {"ef cs0", "af21 cs1"}}},
	"identityfile": {why: "the default changed with the kinds of keys",
		pairs: [][2]string{{strings.Join(defaultIdentities, "|"), identities92}}},

	"revokedhostkeys":        {why: "an empty list is printed since 9.9", pairs: [][2]string{{"none", absent}}},
	"channeltimeout":         {why: "new in 9.2's successors", pairs: [][2]string{{"none", absent}}},
	"obscurekeystroketiming": {why: "new in 9.5", pairs: [][2]string{{"yes", absent}}},
	"warnweakcrypto":         {why: "new in 10.1", pairs: [][2]string{{"yes", absent}}},

	"gssapiauthentication":      {why: "ssh may be built without GSSAPI", pairs: [][2]string{{"no", absent}, {"yes", absent}}},
	"gssapidelegatecredentials": {why: "ssh may be built without GSSAPI", pairs: [][2]string{{"no", absent}, {"yes", absent}}},
	"gssapikeyexchange":         {why: "patched in by distributions", pairs: [][2]string{{absent, "no"}}},
	"gssapitrustdns":            {why: "patched in by distributions", pairs: [][2]string{{absent, "no"}}},
	"gssapirenewalforcesrekey":  {why: "patched in by distributions", pairs: [][2]string{{absent, "no"}}},
	"gssapikexalgorithms": {why: "patched in by distributions", pairs: [][2]string{{absent, "gss-group14-sha256-,gss-group16-sha512-," +
		"gss-nistp256-sha256-,gss-curve25519-sha256-,gss-group14-sha1-,gss-gex-sha1-"}}},

	"xauthlocation":       {why: "chosen when ssh is built", pairs: [][2]string{{defaultXAuth, "/usr/X11R6/bin/xauth"}, {defaultXAuth, "/opt/X11/bin/xauth"}}},
	"securitykeyprovider": {why: "chosen when ssh is built", pairs: [][2]string{{"internal", "$SSH_SK_PROVIDER"}}},
}

func (d dump) value(key string) string {
	if v, ok := d[key]; ok {
		return v
	}
	return absent
}

// compare reports the keywords that are printed differently, of all that either
// prints.
func compare(ours, theirs dump) string {
	var faults []string
	check := func(key string) {
		got, want := ours.value(key), theirs.value(key)
		t, ok := tolerated[key]
		if got != want && !(ok && slices.Contains(t.pairs, [2]string{got, want}) && (t.only == nil || t.only(theirs))) {
			faults = append(faults, key+": got "+got+", ssh says "+want)
		}
	}
	for key := range theirs {
		check(key)
	}
	for key := range ours {
		if _, both := theirs[key]; !both {
			check(key)
		}
	}
	slices.Sort(faults)
	return strings.Join(faults, "\n")
}

// order is the sequence of keywords that both dumps have, as one has it.
func order(text string, other dump) string {
	var keys []string
	for line := range strings.Lines(text) {
		key, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, both := other[key]; both && !slices.Contains(keys, key) && key != "revokedhostkeys" { // moved in 9.9
			keys = append(keys, key)
		}
	}
	return strings.Join(keys, " ")
}

// query asks ssh for the names that it supports.
func query(t testing.TB, ssh, what string) []string {
	out, err := exec.Command(ssh, "-Q", what).Output()
	if err != nil {
		t.Fatalf("ssh -Q %s: %v", what, err)
	}
	return words(string(out))
}

// theSSH is what the installed ssh is like.
var theSSH struct {
	once   sync.Once
	offer  Offer
	newest bool // it is as new as the one that is imitated
	gssapi bool // it was built with it
}

// asSSH offers the algorithms of the installed ssh, so that lists can be compared.
func (w *world) asSSH(ssh string) {
	theSSH.once.Do(func() {
		bare := newWorld(w.t)
		bare.in.ConfigFile = "none"
		defaults, _ := bare.ask(ssh, nil)
		_, theSSH.gssapi = defaults["gssapiauthentication"]
		theSSH.newest = imitated(w.t, ssh)
		for name, what := range map[string]string{
			"ciphers": "cipher", "macs": "mac", "kexalgorithms": "kex", "hostkeyalgorithms": "HostKeyAlgorithms",
			"pubkeyacceptedalgorithms": "HostKeyAlgorithms", "hostbasedacceptedalgorithms": "HostKeyAlgorithms", "casignaturealgorithms": "sig",
		} {
			*theSSH.offer.algorithms(name) = Algorithms{strings.Split(defaults[name], ","), query(w.t, ssh, what)}
		}
	})
	w.offer = theSSH.offer
}

func TestOrderAsSSH(t *testing.T) {
	ssh := sshtest.Program(t, "ssh")
	w := newWorld(t)
	w.asSSH(ssh)
	w.in.ConfigFile = w.write("config", everything)
	ours, err := w.resolve()
	if err != nil {
		t.Fatal(err)
	}
	theirs, refusal := w.ask(ssh, nil)
	if refusal != nil {
		t.Fatal(refusal)
	}
	if got, want := order(w.text, theirs), order(w.their, ours); got != want {
		t.Errorf("got order\n%s\nssh has\n%s", got, want)
	}
	if diff := compare(ours, theirs); diff != "" {
		t.Error(diff)
	}
}

// everything sets every keyword that is printed only when set.
const everything = `
BindAddress 127.0.0.1
BindInterface lo
ControlPath /tmp/x
HostKeyAlias a
IdentityAgent /tmp/agent
IgnoreUnknown nothing
KbdInteractiveDevices pam
LocalCommand echo
RemoteCommand echo
PKCS11Provider /tmp/lib.so
PreferredAuthentications publickey
KnownHostsCommand /bin/true
DynamicForward 1
LocalForward 2 a:1
RemoteForward 3 a:1
CertificateFile c
SendEnv A
SetEnv B=1
ProxyCommand nc
IdentityFile x
`

// unprinted are the keywords that ssh -G has no line for: those that are
// carried out while reading, and ProxyCommand, which shares one with ProxyJump.
var unprinted = words("match include refuseconnection proxycommand")

func TestEveryKeywordIsPrinted(t *testing.T) {
	rows := map[string]bool{}
	for _, r := range dumpRows {
		rows[r.name] = true
		if keywords[r.name] == nil {
			t.Errorf("%s is printed and not known", r.name)
		}
		if (r.style == byHand) != (dumpers[r.name] != nil) {
			t.Errorf("%s: has no dumper, or one too many", r.name)
		}
	}
	for name, k := range keywords {
		if (k.class == live || k.class == special) && rows[k.name] == slices.Contains(unprinted, k.name) {
			t.Errorf("%s: printed %v", name, rows[k.name])
		}
	}
}

// TestDumpIsComplete holds the number of lines to that of OpenSSH 10.5, which
// prints 82 where nothing is configured; GSSAPI adds two.
func TestDumpIsComplete(t *testing.T) {
	w := person(t, "", nil)
	for _, r := range dumpRows {
		if r.style == list {
			*w.offer.algorithms(r.name) = Algorithms{Default: []string{"x"}}
		}
	}
	d, err := w.resolve()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(w.text, "\n"); n != 84+len(defaultIdentities)-6 {
		t.Errorf("%d lines:\n%s", n, w.text)
	}
	if d["ciphers"] != "x" || d["host"] != "web1" {
		t.Errorf("got %v", d)
	}
}
