package sshconf

import (
	"strings"
	"testing"
	"time"
)

// muxd is what the offer of muxd is like.
var muxd = Offer{
	Ciphers:             Algorithms{words("aes128-gcm@openssh.com aes128-ctr"), words("aes128-gcm@openssh.com aes128-ctr aes128-cbc")},
	ServerAliveInterval: 15 * time.Second, ControlPersist: time.Hour,
}

func TestDumpOffer(t *testing.T) {
	tests := []struct {
		config string
		offer  Offer
		want   dump
	}{
		{"", muxd, dump{"ciphers": "aes128-gcm@openssh.com,aes128-ctr", "serveraliveinterval": "15", "controlpersist": "3600"}},
		{"Ciphers +aes128-cbc\nServerAliveInterval 7\nControlPersist 60", muxd,
			dump{"ciphers": "aes128-gcm@openssh.com,aes128-ctr,aes128-cbc", "serveraliveinterval": "7", "controlpersist": "60"}},
		{"Ciphers -aes*\nServerAliveInterval none\nControlPersist yes", muxd, dump{"ciphers": "", "serveraliveinterval": "0", "controlpersist": "yes"}},
		{"ServerAliveInterval 0\nControlPersist no", muxd, dump{"serveraliveinterval": "0", "controlpersist": "no"}},
		{"", Offer{}, dump{"ciphers": absent, "macs": absent, "serveraliveinterval": "0", "controlpersist": "no"}},
		{"Ciphers 3des-cbc", Offer{ControlPersist: -1}, dump{"ciphers": absent, "controlpersist": "yes"}},
	}
	for _, tt := range tests {
		w := person(t, tt.config, nil)
		w.offer = tt.offer
		d, err := w.resolve()
		if err != nil {
			t.Errorf("%q: %v", tt.config, err)
		}
		for key, want := range tt.want {
			if got := d.value(key); got != want {
				t.Errorf("%q: %s %q, want %q", tt.config, key, got, want)
			}
		}
	}
	w := person(t, "Ciphers 3des-cbc", nil)
	w.offer = muxd
	if _, err := w.resolve(); err == nil || !strings.Contains(err.Error(), "ciphers: no algorithm in") {
		t.Errorf("got %v", err)
	}
}

// TestNewerKeywords has what OpenSSH 10.5 knows and 9.2 does not, from the manual
// and readconf.c.
func TestNewerKeywords(t *testing.T) {
	tests := []struct{ config, key, want string }{
		{"", "obscurekeystroketiming", "yes"}, {"ObscureKeystrokeTiming no", "obscurekeystroketiming", "no"},
		{"ObscureKeystrokeTiming false", "obscurekeystroketiming", "no"}, {"ObscureKeystrokeTiming interval:20", "obscurekeystroketiming", "yes"},
		{"ObscureKeystrokeTiming interval:80", "obscurekeystroketiming", "80"},
		{"", "channeltimeout", "none"}, {"ChannelTimeout NONE", "channeltimeout", "none"}, {"ChannelTimeout session=5m *=0", "channeltimeout", "session=5m *=0"},
		{"", "warnweakcrypto", "yes"}, {"WarnWeakCrypto no-pq-kex", "warnweakcrypto", "no"}, {"WarnWeakCrypto False", "warnweakcrypto", "no"},
		{"", "versionaddendum", absent}, {"VersionAddendum none", "versionaddendum", ""}, {"VersionAddendum  a b # %h", "versionaddendum", "a b # web1"},
		{"", "tag", absent}, {"Tag x", "tag", "x"},
		{"RevokedHostKeys /a /%h ~/b", "revokedhostkeys", "/a /web1 /home/me/b"}, {"RevokedHostKeys none", "revokedhostkeys", "none"},
		{"UserKnownHostsFile NONE", "userknownhostsfile", "none"}, {"GlobalKnownHostsFile None", "globalknownhostsfile", "none"},
		{"SetEnv A=%h-${V} A=2", "setenv", "A=web1-v"}, {"User %n-%u", "user", "web1-me"}, {"IPQoS le lowdelay", "ipqos", "le none"},
		{"CanonicalDomains _dmz.net", "canonicaldomains", "_dmz.net"}, {"CanonicalizePermittedCNAMEs *", "canonicalizePermittedcnames", "*:*"},
		{"CanonicalizePermittedCNAMEs *.A:b,c", "canonicalizePermittedcnames", "*.a:b,c"},
		{"ConnectTimeout 1.9s", "connecttimeout", "1"}, {"ControlPath %j\nProxyJump u@a:1,b", "controlpath", "b"},
		{"ProxyJump none\nProxyCommand x", "proxycommand", "x"}, {"RequiredRSASize 5", "requiredrsasize", "5"},
		{"UpdateHostKeys ask\nControlPersist 5\nControlPath /x", "updatehostkeys", "false"}, {"VerifyHostKeyDNS ask", "updatehostkeys", "false"},
		{"Host other\nStreamLocalBindMask 0111\nSyslogFacility auth", "streamlocalbindmask", "0111"},
		{"StreamLocalBindMask 0\nStreamLocalBindMask 077", "streamlocalbindmask", "077"}, {"Host other\nSyslogFacility auth", "syslogfacility", "AUTH"},
	}
	for _, tt := range tests {
		d, err := person(t, tt.config, map[string]string{"V": "v"}).resolve()
		if got := d.value(tt.key); err != nil || got != tt.want {
			t.Errorf("%q: %s %q (%v), want %q", tt.config, tt.key, got, err, tt.want)
		}
	}
}

func TestNewerComplaints(t *testing.T) {
	for config, want := range map[string]string{
		"ObscureKeystrokeTiming # x": "line 1: missing argument\n", "ObscureKeystrokeTiming maybe": `line 1: unsupported argument "maybe"`,
		"ObscureKeystrokeTiming yes no": "line 1: invalid arguments\n", "ObscureKeystrokeTiming interval:0": "line 1: value out of range.\n",
		"ObscureKeystrokeTiming interval:x": "line 1: integer value invalid.\n", "ObscureKeystrokeTiming interval:1001": "line 1: value out of range.\n",
		"ChannelTimeout session": "line 1: invalid channel timeout session", "ChannelTimeout a=1 =5": "line 1: invalid channel timeout =5",
		"ChannelTimeout a=1 none": `line 1: keyword channeltimeout "none" argument must appear alone.`, "ChannelTimeout # x": "line 1: no channeltimeout specified",
		"WarnWeakCrypto x": `line 1: unsupported option "x".`, "RefuseConnection why not": "line 1: RefuseConnection: why",
		"RefuseConnection \"\"": "line 1: Missing argument.", "SetEnv # x": "line 1: no setenv specified", "SendEnv # x": "line 1: no sendenv specified",
		"CanonicalDomains # x": "line 1: no canonicaldomains specified", "CanonicalDomains \"\"": "line 1: empty domain name",
		"RevokedHostKeys # x": "line 1: no revokedhostkeys specified", "VersionAddendum a\rb": "line 1: Invalid versionaddendum argument",
		"CanonicalizePermittedCNAMEs # x": "line 1: no canonicalizepermittedcnames specified", "ProxyCommand -\nProxyUseFdpass yes": "ProxyCommand=- and ProxyUseFDPass are incompatible",
		"ForkAfterAuthentication yes": "Cannot fork into background without a command to execute.",
		"UserKnownHostsFile ${NO}":    "userknownhostsfile: environment variable ${NO} has no value",
	} {
		_, err := Resolve(person(t, config, nil).in)
		if err == nil || !strings.Contains(err.Error()+"\n", want) {
			t.Errorf("%q: got %v, want %s", config, err, want)
		}
	}
}

// -W changes defaults, and other options where they stand before it.
func TestStdioForward(t *testing.T) {
	w := person(t, "Match sessiontype none\nPort 7\nMatch all\nForkAfterAuthentication yes\nLocalForward 1 a:1", nil)
	w.options([]string{"RequestTTY=force", "SessionType=default"})
	w.in.StdioForward = true
	d, err := w.resolve()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"port": "7", "requesttty": "false", "sessiontype": "none", "exitonforwardfailure": "yes", "clearallforwardings": "yes", "localforward": absent,
	} {
		if d.value(key) != want {
			t.Errorf("%s: got %q, want %q", key, d.value(key), want)
		}
	}
	w.options([]string{"ClearAllForwardings=no", "ExitOnForwardFailure=no"})
	c := must(t, w.in)
	if on, set := c.ExitOnForwardFailure(); on || !set || len(c.LocalForwards()) != 1 {
		t.Errorf("an explicit no does not count: %v %v, %v", on, set, c.LocalForwards())
	}
}
