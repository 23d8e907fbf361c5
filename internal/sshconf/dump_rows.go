package sshconf

// dumpRow is a keyword as ssh -G prints it. def is its default, "" if it has
// none or if a function knows it.
type dumpRow struct {
	name  string
	style style
	def   string
}

// dumpRows is the order of dump_client_config in readconf.c.
var dumpRows = []dumpRow{
	{"host", byHand, ""}, {"user", plain, ""}, {"hostname", plain, ""}, {"port", plain, "22"},

	{"addressfamily", plain, "any"}, {"batchmode", plain, "no"}, {"canonicalizefallbacklocal", plain, "yes"},
	{"canonicalizehostname", boolean, "no"}, {"checkhostip", plain, "no"}, {"compression", plain, "no"},
	{"controlmaster", boolean, "no"}, {"enablesshkeysign", plain, "no"}, {"clearallforwardings", plain, "no"},
	{"exitonforwardfailure", plain, "no"}, {"fingerprinthash", plain, "SHA256"}, {"forwardx11", plain, "no"},
	{"forwardx11trusted", plain, "no"}, {"gatewayports", plain, "no"}, {"gssapiauthentication", plain, "no"},
	{"gssapidelegatecredentials", plain, "no"}, {"hashknownhosts", plain, "no"}, {"hostbasedauthentication", plain, "no"},
	{"identitiesonly", plain, "no"}, {"kbdinteractiveauthentication", plain, "yes"},
	{"nohostauthenticationforlocalhost", plain, "no"}, {"passwordauthentication", plain, "yes"},
	{"permitlocalcommand", plain, "no"}, {"proxyusefdpass", plain, "no"}, {"pubkeyauthentication", boolean, "yes"},
	{"requesttty", boolean, "auto"}, {"sessiontype", plain, "default"}, {"stdinnull", plain, "no"},
	{"forkafterauthentication", plain, "no"}, {"streamlocalbindunlink", plain, "no"},
	{"stricthostkeychecking", boolean, "ask"}, {"tcpkeepalive", plain, "yes"}, {"tunnel", boolean, "no"},
	{"verifyhostkeydns", boolean, "no"}, {"visualhostkey", plain, "no"}, {"updatehostkeys", boolean, ""},
	{"enableescapecommandline", plain, "no"}, {"warnweakcrypto", plain, "yes"},

	{"canonicalizemaxdots", plain, "1"}, {"connectionattempts", plain, "1"}, {"forwardx11timeout", plain, "1200"},
	{"numberofpasswordprompts", plain, "3"}, {"serveralivecountmax", plain, "3"}, {"serveraliveinterval", byHand, ""},
	{"requiredrsasize", plain, "1024"}, {"obscurekeystroketiming", plain, "yes"},

	{"bindaddress", optional, ""}, {"bindinterface", optional, ""}, {"ciphers", list, ""}, {"controlpath", textual, ""},
	{"hostkeyalgorithms", list, ""}, {"hostkeyalias", optional, ""}, {"hostbasedacceptedalgorithms", list, ""},
	{"identityagent", optional, ""}, {"ignoreunknown", optional, ""}, {"kbdinteractivedevices", optional, ""},
	{"kexalgorithms", list, ""}, {"casignaturealgorithms", list, ""}, {"localcommand", textual, ""},
	{"remotecommand", textual, ""}, {"loglevel", plain, "INFO"}, {"macs", list, ""}, {"pkcs11provider", textual, ""},
	{"securitykeyprovider", textual, "internal"}, {"preferredauthentications", optional, ""},
	{"pubkeyacceptedalgorithms", list, ""}, {"xauthlocation", plain, defaultXAuth}, {"knownhostscommand", textual, ""},
	{"tag", optional, ""}, {"versionaddendum", optional, ""},

	{"dynamicforward", byHand, ""}, {"localforward", byHand, ""}, {"remoteforward", byHand, ""},

	{"identityfile", byHand, ""}, {"canonicaldomains", oneLine, "none"}, {"certificatefile", byHand, ""},
	{"globalknownhostsfile", byHand, ""}, {"userknownhostsfile", byHand, ""}, {"revokedhostkeys", oneLine, "none"},
	{"sendenv", lines, ""}, {"setenv", lines, ""}, {"logverbose", oneLine, "none"}, {"channeltimeout", oneLine, "none"},

	{"permitremoteopen", oneLine, "any"}, {"addkeystoagent", byHand, ""}, {"forwardagent", byHand, ""},
	{"connecttimeout", plain, "none"}, {"tunneldevice", plain, "any:any"}, {"canonicalizepermittedcnames", byHand, ""},
	{"controlpersist", byHand, ""}, {"escapechar", byHand, ""}, {"ipqos", byHand, ""}, {"rekeylimit", byHand, ""},
	{"streamlocalbindmask", plain, "0177"}, {"syslogfacility", plain, "USER"}, {"proxyjump", byHand, ""},
}

// defaultXAuth is where Linux distributions have xauth; ssh has the place where
// it was when ssh was built.
const defaultXAuth = "/usr/bin/xauth"
