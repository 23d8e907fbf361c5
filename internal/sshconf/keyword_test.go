package sshconf

import (
	"strings"
	"testing"
)

// theirs are the keywords in the table of readconf.c of OpenSSH 10.5: 132
// entries, of which four stand there twice for different builds.
const theirs = `addkeystoagent addressfamily afstokenpassing batchmode bindaddress bindinterface canonicaldomains
	canonicalizefallbacklocal canonicalizehostname canonicalizemaxdots canonicalizepermittedcnames
	casignaturealgorithms certificatefile challengeresponseauthentication channeltimeout checkhostip cipher
	ciphers clearallforwardings compression compressionlevel connectionattempts connecttimeout controlmaster
	controlpath controlpersist dsaauthentication dynamicforward enableescapecommandline enablesshkeysign
	escapechar exitonforwardfailure fallbacktorsh fingerprinthash forkafterauthentication forwardagent forwardx11
	forwardx11timeout forwardx11trusted gatewayports globalknownhostsfile globalknownhostsfile2
	gssapiauthentication gssapidelegatecredentials hashknownhosts host hostbasedacceptedalgorithms
	hostbasedauthentication hostbasedkeytypes hostkeyalgorithms hostkeyalias hostname identitiesonly
	identityagent identityfile identityfile2 ignoreunknown include ipqos kbdinteractiveauthentication
	kbdinteractivedevices keepalive kerberosauthentication kerberostgtpassing kexalgorithms knownhostscommand
	localcommand localforward loglevel logverbose macs match nohostauthenticationforlocalhost
	numberofpasswordprompts obscurekeystroketiming passwordauthentication permitlocalcommand permitremoteopen
	pkcs11provider port preferredauthentications protocol proxycommand proxyjump proxyusefdpass
	pubkeyacceptedalgorithms pubkeyacceptedkeytypes pubkeyauthentication refuseconnection rekeylimit
	remotecommand remoteforward requesttty requiredrsasize revokedhostkeys rhostsauthentication
	rhostsrsaauthentication rsaauthentication securitykeyprovider sendenv serveralivecountmax serveraliveinterval
	sessiontype setenv skeyauthentication smartcarddevice stdinnull streamlocalbindmask streamlocalbindunlink
	stricthostkeychecking syslogfacility tag tcpkeepalive tisauthentication tunnel tunneldevice updatehostkeys
	useprivilegedport user userknownhostsfile userknownhostsfile2 useroaming usersh verifyhostkeydns
	versionaddendum visualhostkey warnweakcrypto xauthlocation`

func TestEveryKeywordIsKnown(t *testing.T) {
	list := words(theirs)
	if len(list) != 128 {
		t.Fatalf("%d names", len(list))
	}
	for _, name := range list {
		if !Known(strings.ToUpper(name)) || Own(name) {
			t.Errorf("%s is not one of ssh's", name)
		}
	}
}

// samples has a right value for each of muxd's keywords.
var samples = map[string]string{
	"Pinned": "yes", "WaitForReady": "30s", "MaxConnections": "3", "RememberSecrets": "no", "Reattach": "tmux new -A -s main", "KeepWarm": "20s",
	"StickyForward": "no", "Bulk": "yes", "ErrorFormat": "json", "ControlSockets": "yes", "FdPass": "no",
	"MaxLifetime": "1h", "Confirm": "yes", "Audit": "yes", "Share": "no", "NotifyCommand": "notify-send x", "TCPKeepAliveIdle": "60",
	"TCPKeepAliveInterval": "10", "TCPKeepAliveCount": "5", "TCPUserTimeout": "2m",
}

func TestOwnKeywords(t *testing.T) {
	for name, value := range samples {
		t.Run(name, func(t *testing.T) {
			if !Own(name) {
				t.Fatal("not known as muxd's")
			}
			w := newWorld(t)
			text := name + " " + value + "\n"
			w.in.OwnFile = w.write("own", "Include more\n")
			w.write("more", text)
			if _, set := must(t, w.in).Get(name); !set {
				t.Error("not read from muxd's own file and what it includes")
			}
			w.in.OwnFile = ""
			w.options([]string{name + "=" + value})
			if _, set := must(t, w.in).Get(name); !set {
				t.Error("not read from -o")
			}
			w.in.Options = nil
			w.in.UserFile = w.write("config", text)
			if _, err := Resolve(w.in); err == nil {
				t.Error("accepted in ssh's file")
			}
			w.write("config", "IgnoreUnknown "+name+"\n"+text)
			if _, set := must(t, w.in).Get(name); !set {
				t.Error("not read where ssh is told to look away")
			}
		})
	}
}

func TestOwnAccessors(t *testing.T) {
	w := newWorld(t)
	c := must(t, w.in)
	if c.Pinned() != Unset || c.Confirm() != Unset || c.ErrorFormat() != "" {
		t.Error("silence is not Unset")
	}
	for name, value := range samples {
		w.options([]string{name + "=" + value})
	}
	c = must(t, w.in)
	wait, limit := c.WaitForReady()
	life, _ := c.MaxLifetime()
	n, _ := c.MaxConnections()
	if wait != Yes || limit.Seconds() != 30 || life.Hours() != 1 || n != 3 || c.Confirm() != Yes || c.Share() != No {
		t.Errorf("WaitForReady %v %v, MaxLifetime %v, MaxConnections %d, Confirm %v, Share %v", wait, limit, life, n, c.Confirm(), c.Share())
	}
	if c.NotifyCommand() != "notify-send x" || c.ErrorFormat() != "json" {
		t.Errorf("NotifyCommand %q, ErrorFormat %q", c.NotifyCommand(), c.ErrorFormat())
	}
}

// Distributions use keywords of their own patches in the files they install.
func TestVendorKeywords(t *testing.T) {
	w := newWorld(t)
	w.in.SystemFile = w.write("config", "Match final all\nGSSAPIKeyExchange no\nGSSAPIKexAlgorithms gss-nistp256-sha256-\nRSAMinSize 2048\n")
	if bits := must(t, w.in).RequiredRSASize(); bits != 2048 {
		t.Errorf("RequiredRSASize %d", bits)
	}
}

func TestWarnings(t *testing.T) {
	w := newWorld(t)
	w.in.UserFile = w.write("config", "Match final\nRSAAuthentication yes\nInclude ${NO_SUCH_VARIABLE}/x\n")
	got := must(t, w.in).Warnings()
	want := []string{
		w.in.UserFile + " line 2: Unsupported option \"rsaauthentication\"",
		w.in.UserFile + " line 3: Unable to expand user config file '${NO_SUCH_VARIABLE}/x'",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
}
