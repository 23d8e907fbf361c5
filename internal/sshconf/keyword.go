package sshconf

import "runtime"

// keyword is one entry of the table of all that may stand at the start of a
// line.
type keyword struct {
	name  string // lower case; aliases share the entry
	parse parser
	store storer
	class class
	// anywhere says that ssh obeys the keyword also in a block that does not
	// apply (readconf.c looks at *activep for every keyword but these).
	anywhere bool
}

type class int

const (
	live        class = iota
	ignored           // ssh accepts it and does nothing
	unsupported       // ssh accepts it and warns
	own               // muxd's, unknown to ssh
	special           // handled by the evaluator: host, match, include
)

// keywords is the table. It is complete for OpenSSH 10.5: a keyword that ssh
// knows and muxd does not would make muxd refuse files that ssh reads.
var keywords = table()

// maxKeyword is the length of the longest keyword, or a little more.
const maxKeyword = 40

// spellings maps every keyword and alias to itself.
var spellings = func() map[string]string {
	m := make(map[string]string, len(keywords))
	for name := range keywords {
		m[name] = name
	}
	return m
}()

type builder map[string]*keyword

func (b builder) add(c class, p parser, s storer, names ...string) {
	for _, name := range names {
		b[name] = &keyword{name: name, parse: p, store: s, class: c}
	}
}

func (b builder) alias(name string, aliases ...string) {
	for _, a := range aliases {
		b[a] = b[name]
	}
}

func table() builder {
	b := builder{}
	b.flags()
	b.numbers()
	b.strings()
	b.lists()
	b.algorithms()
	b.retired()
	b.vendors()
	b.owned()
	b.alias("kbdinteractiveauthentication", "challengeresponseauthentication", "skeyauthentication", "tisauthentication")
	b.alias("pubkeyauthentication", "dsaauthentication")
	b.alias("identityfile", "identityfile2")
	b.alias("tcpkeepalive", "keepalive")
	b.alias("hostbasedacceptedalgorithms", "hostbasedkeytypes")
	b.alias("pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes")
	b.alias("pkcs11provider", "smartcarddevice")
	return b
}

func (b builder) flags() {
	b.add(live, parseFlag, first, "batchmode", "canonicalizefallbacklocal", "checkhostip", "clearallforwardings",
		"enableescapecommandline", "enablesshkeysign", "exitonforwardfailure", "forkafterauthentication",
		"forwardx11", "forwardx11trusted", "gatewayports", "gssapiauthentication", "gssapidelegatecredentials",
		"hashknownhosts", "hostbasedauthentication", "identitiesonly", "kbdinteractiveauthentication",
		"nohostauthenticationforlocalhost", "passwordauthentication", "permitlocalcommand", "proxyusefdpass",
		"stdinnull", "streamlocalbindunlink", "tcpkeepalive", "visualhostkey")
	b.add(live, parseYesNoAsk, first, "updatehostkeys", "verifyhostkeydns")
	b.add(live, parseStrict, first, "stricthostkeychecking")
	b.add(live, parseCompression, first, "compression")
	b.add(live, parseAddressFamily, first, "addressfamily")
	b.add(live, parsePubkeyAuth, first, "pubkeyauthentication")
	b.add(live, parseTunnel, first, "tunnel")
	b.add(live, parseCanonicalize, first, "canonicalizehostname")
	b.add(live, parseWeakCrypto, first, "warnweakcrypto")
	b.add(live, parseControlMaster, first, "controlmaster")
	b.add(live, parseSessionType, first, "sessiontype")
	b.add(live, parseRequestTTY, first, "requesttty")
	b.add(live, parseLogLevel, first, "loglevel")
}

func (b builder) numbers() {
	b.add(live, parseInt, first, "canonicalizemaxdots", "connectionattempts", "numberofpasswordprompts",
		"requiredrsasize", "serveralivecountmax")
	b.add(live, parseTime, first, "connecttimeout", "forwardx11timeout")
	b.add(live, parseTime, firstOrOff, "serveraliveinterval")
	b.add(live, parsePort, first, "port")
	b.add(live, parsePersist, first, "controlpersist")
	b.add(live, parseEscape, first, "escapechar")
	b.add(live, parseQoS, first, "ipqos")
	b.add(live, parseRekey, firstOfEach, "rekeylimit")
}

func (b builder) strings() {
	b.add(live, parseString, first, "bindaddress", "bindinterface", "controlpath", "hostkeyalias", "hostname",
		"ignoreunknown", "kbdinteractivedevices", "pkcs11provider", "preferredauthentications",
		"securitykeyprovider", "tag", "user", "xauthlocation")
	b.add(live, parseHash, first, "fingerprinthash")
	b.add(live, parseTunnelDevice, first, "tunneldevice")
	b.add(live, parseFacility, first, "syslogfacility")
	b.add(live, parseMask, last, "streamlocalbindmask")
	b["syslogfacility"].anywhere, b["streamlocalbindmask"].anywhere = true, true
	b.add(live, parseAddendum, first, "versionaddendum")
	b.add(live, parseCommand, first, "knownhostscommand", "localcommand", "remotecommand")
	b.add(live, parseCommand, firstProxy, "proxycommand")
	b.add(live, parseJump, firstProxy, "proxyjump")
	b.add(live, parseAgent, first, "identityagent")
	b.add(live, parseForwardAgent, firstOfEach, "forwardagent")
	b.add(live, parseString, refuse, "refuseconnection")
}

func (b builder) lists() {
	b.add(live, parseString, gatherFiles, "identityfile", "certificatefile")
	b.add(live, parseFiles, firstHosts, "globalknownhostsfile", "userknownhostsfile")
	b.add(live, parseList, first, "revokedhostkeys")
	b.add(live, parseDomains, first, "canonicaldomains")
	b.add(live, parseCNAMEs, first, "canonicalizepermittedcnames")
	b.add(live, parseChannelTimeouts, first, "channeltimeout")
	b.add(live, parseOpens, first, "permitremoteopen")
	b.add(live, parseAddKeys, first, "addkeystoagent")
	b.add(live, parseKeystrokes, first, "obscurekeystroketiming")
	b.add(live, parseFiles, firstAlone, "logverbose")
	b.add(live, parseSendEnv, gatherEnv, "sendenv")
	b.add(live, parseSetEnv, first, "setenv")
	b.add(live, parseForward, gatherForwards, "localforward", "remoteforward", "dynamicforward")
	b.add(special, nil, nil, "host", "match", "include")
}

func (b builder) algorithms() {
	b.add(live, parseAlgorithms(among(cipherNames), "Bad SSH2 cipher spec '%s'."), first, "ciphers")
	b.add(live, parseAlgorithms(among(macNames), "Bad SSH2 MAC spec '%s'."), first, "macs")
	b.add(live, parseAlgorithms(among(append(kexNames, "")), "Bad SSH2 KexAlgorithms '%s'."), first, "kexalgorithms")
	b.add(live, parseAlgorithms(keyPattern, "Bad key types '%s'."), first, "hostkeyalgorithms",
		"hostbasedacceptedalgorithms", "pubkeyacceptedalgorithms")
	b.add(live, parseAlgorithms(caPattern, "Bad key types '%s'."), first, "casignaturealgorithms")
}

// retired are the keywords that ssh still reads and no longer obeys.
func (b builder) retired() {
	b.add(ignored, nil, nil, "protocol", "cipher", "fallbacktorsh", "globalknownhostsfile2", "rhostsauthentication",
		"userknownhostsfile2", "useroaming", "usersh", "useprivilegedport")
	b.add(unsupported, nil, nil, "afstokenpassing", "kerberosauthentication", "kerberostgtpassing",
		"rsaauthentication", "rhostsrsaauthentication", "compressionlevel")
}

// vendors are the keywords that distributions patch in and then use in the
// files that they install: refusing them would refuse /etc/ssh/ssh_config.
func (b builder) vendors() {
	b.add(ignored, nil, nil, "gssapikeyexchange", "gssapikexalgorithms", "gssapiclientidentity",
		"gssapiserveridentity", "gssapirenewalforcesrekey", "gssapitrustdns")
	b.alias("requiredrsasize", "rsaminsize")
	b.alias("serveraliveinterval", "protocolkeepalives", "setuptimeout")
	if runtime.GOOS == "darwin" {
		b.add(ignored, nil, nil, "usekeychain") // other systems' ssh refuses it
	}
}

// owned are muxd's keywords.
func (b builder) owned() {
	b.add(own, parseFlag, first, "pinned", "stickyforward", "bulk", "controlsockets", "fdpass", "share", "tcpnodelay", "confirm", "audit")
	b.add(own, parseFlagOrTime, first, "waitforready", "remembersecrets", "keepwarm")
	b.add(own, choice("text", "json"), first, "errorformat")
	b.add(own, parseCommand, first, "notifycommand", "reattach")
	b.add(own, parseTime, first, "maxlifetime", "tcpkeepaliveidle", "tcpkeepaliveinterval", "tcpusertimeout")
	b.add(own, parseInt, first, "maxconnections", "tcpkeepalivecount")
}
