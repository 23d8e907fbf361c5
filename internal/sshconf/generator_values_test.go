package sshconf

// What many keywords of the table below take.
const (
	yesNoValues = "yes no TRUE false|maybe"
	keyValues   = "ssh-ed25519 +ssh-rsa -ssh-rsa ^ecdsa-sha2-nistp256 ecdsa-*,rsa-* *cert* -*nistp* ssh-ed25519,,x|nope +"
)

// values are right ones for keywords, then, after a bar, wrong ones. A tilde in
// a value is a blank.
var values = map[string]string{
	"Port": "1 22 65535 http +7|0 x 65536 -1", "User": "a bob|", "HostName": "h1 %h.example REAL.example 10.1 127.0.0.1 0x7f.1 FE80::1 fe80:0::2 %%|%z",
	"IdentityFile": "~/k1 k2 /k3 none %d/x|", "CertificateFile": "~/c1 c2|", "IdentitiesOnly": yesNoValues,
	"BatchMode": "no false|2", "ConnectTimeout": "5 1m 1h2m3 none|x 1y", "ServerAliveInterval": "0 10 2m none|5q",
	"ServerAliveCountMax": "0 7|x -3", "ConnectionAttempts": "1 4|x", "TCPKeepAlive": yesNoValues,
	"ControlPath": "none /tmp/%h-%p-%r ~/%n /tmp/%k.%L.%i|", "ControlMaster": "auto ask autoask yes no|x",
	"ControlPersist": "yes no 0 10 5m true|x", "SendEnv": "A B* LC_* -A -B* -*|A=b", "SetEnv": "A=1 B=2|A",
	"RequestTTY": "yes no force auto|x", "EscapeChar": "~ none ^A x|xy ^", "StdinNull": yesNoValues,
	"SessionType": "none default|x", "RemoteCommand": "none echo|", "LogLevel": "ERROR debug DEBUG2 info verbose|x",
	"AddressFamily": "any inet inet6|x", "BindAddress": "1.2.3.4 none|", "PreferredAuthentications": "publickey,password|",
	"PubkeyAuthentication": "yes no unbound host-bound|x", "PasswordAuthentication": yesNoValues, "NumberOfPasswordPrompts": "0 5|x",
	"HostKeyAlias": `Al ias a\~b \"q x\y "a\~'b"|`, "HashKnownHosts": yesNoValues, "CheckHostIP": yesNoValues, "StrictHostKeyChecking": "yes no ask off accept-new|x",
	"ProxyCommand": "none nc|", "ForwardAgent": "yes no /tmp|", "ForwardX11": yesNoValues,
	"ProxyJump":          "j u@j:22 [::1]:3 a,b ssh://u@h:7 a,ssh://x%41+@b/ 10.0.0.1 u@[::1] h:|@ a:0 ssh://[::1] -x",
	"PermitLocalCommand": yesNoValues, "LocalCommand": "none x|", "RekeyLimit": "1G 16 default 1.25M 1M~none 0~1h|1 x", "Compression": "yes no|true",
	"ExitOnForwardFailure": yesNoValues, "UserKnownHostsFile": "~/kh /kh2 /tmp/%h ~/.ssh/known_hosts a~b|", "GlobalKnownHostsFile": "/g /h a~b|a~none",
	"IdentityAgent": "none SSH_AUTH_SOCK ~/a.sock $AG /tmp/%r|$-", "IPQoS": "none ef cs1 af21 10 le|x 256", "KnownHostsCommand": "none /bin/x|",
	"DynamicForward": "1080 localhost:1081 :1 *:2|x", "Protocol": "2|", "FooBar": "x|", "IgnoreUnknown": "Foo* none|",
	"LocalForward": "FORWARD|", "RemoteForward": "FORWARD 1080|", "BindInterface": "eth0|", "RequiredRSASize": "2048 1024 5|x",

	"Tunnel": "yes no ethernet point-to-point|x", "TunnelDevice": "any 0 1:2 any:3 4:any|x 1:x 2147483647", "UpdateHostKeys": "yes no ask|x",
	"AddKeysToAgent": "yes no ask confirm 5m 0 confirm~1h|yes~5m confirm~x x", "FingerprintHash": "md5 SHA256 sha512|sha3",
	"SyslogFacility": "auth LOCAL3 user|x", "StreamLocalBindMask": "0 077 0777x 177|1000 x -1", "StreamLocalBindUnlink": yesNoValues,
	"PermitRemoteOpen": "any none a:1 a:*~b:http [::1]:2|a a~none x:0", "LogVerbose": "none a b~c|a~none",
	"GSSAPIAuthentication": yesNoValues, "GSSAPIDelegateCredentials": yesNoValues, "HostbasedAuthentication": yesNoValues,
	"EnableSSHKeysign": yesNoValues, "NoHostAuthenticationForLocalhost": yesNoValues, "VisualHostKey": yesNoValues, "VerifyHostKeyDNS": "yes no ask|x",
	"EnableEscapeCommandline": yesNoValues, "GatewayPorts": yesNoValues, "ForwardX11Trusted": "yes|x", "ForwardX11Timeout": "0 5m none|x",
	"ClearAllForwardings": "no yes|x", "ProxyUseFdpass": yesNoValues, "KbdInteractiveAuthentication": yesNoValues, "KbdInteractiveDevices": "pam|",
	"ChallengeResponseAuthentication": yesNoValues, "KeepAlive": yesNoValues, "DSAAuthentication": yesNoValues, "IdentityFile2": "k9|",
	"XAuthLocation": "/x|", "PKCS11Provider": "none /lib.so|", "SmartcardDevice": "/dev/x|", "SecurityKeyProvider": "none internal /sk.so|",
	"RevokedHostKeys": "/r none|", "ForkAfterAuthentication": "no|x",
	"CanonicalizeHostname": "yes no always|x", "CanonicalizeMaxDots": "0 1 3|x", "CanonicalizeFallbackLocal": "yes yes no|x",
	"CanonicalDomains": "none Example.net a.b.~c|-x a..b a~none", "CanonicalizePermittedCNAMEs": "none|a a: *~none",
	"Ciphers": "aes128-ctr +aes128-cbc -*cbc ^aes256-ctr 3des-cbc,aes192-cbc -*ctr aes128-ctr,,x|rot13 +", "MACs": "hmac-sha2-256 +hmac-md5 -*etm* ^hmac-sha1|x",
	"KexAlgorithms":     "curve25519-sha256 -*nistp* +diffie-hellman-group1-sha1 ^ecdh-sha2-nistp256|x +",
	"HostKeyAlgorithms": keyValues, "PubkeyAcceptedAlgorithms": keyValues, "HostbasedAcceptedAlgorithms": keyValues, "PubkeyAcceptedKeyTypes": keyValues,
	"CASignatureAlgorithms": "ssh-ed25519 +ssh-rsa -ecdsa* rsa-*|nope",
}

// newer is values for an ssh as new as the one imitated.
var newer = map[string]string{
	"Tag": "t1 t2|", "WarnWeakCrypto": "yes no no-pq-kex TRUE|x", "ObscureKeystrokeTiming": "yes no true interval:20 interval:80|x interval:0 yes~no",
	"ChannelTimeout": "none session=5m *=1~global=0 a=b=5|x =1 a=1~none", "VersionAddendum": "none x~y %h~#~z =x|", "RevokedHostKeys": "none /a~/%h ~/b|a~none",
	"User": "%n-%u %i ${USERX}|%r ${USERX", "SetEnv": "A=%h B=%%~C=%j|A D=${NONE}", "IPQoS": "le lowdelay~cs1 throughput none~reliability|x",
	"ControlPath": "/tmp/%C ~/%j-%k ${USERX}|${NONE}", "ConnectTimeout": "1.9s 1m2.5 0.5|1.5m 1s2 +1 1.", "CanonicalDomains": "none _a.b|-x",
	"RefuseConnection": "no|", "Include": "%n ${USERX}/x|", "UserKnownHostsFile": "NONE none /tmp/%j|none~a", "HostKeyAlgorithms": "webauthn* *mldsa*|xmss RSA",
	"PubkeyAcceptedAlgorithms": "-webauthn* sk-* ^*mldsa*|", "Match": "all|tag~x", "KexAlgorithms": "mlkem768x25519-sha256 -mlkem* +mlkem768nistp256-sha256 ^sntrup761x25519-sha512|x",
	"Ciphers": "^aes256-gcm@openssh.com|,aes128-ctr", "MACs": "-umac*|,hmac-sha1", "ProxyJump": "none NONE a/1 ssh://a/1 [a]b|",
}

// flags are options of ssh beside -o, with the settings that they stand for.
var flags = []struct {
	args     []string
	settings []Setting
}{
	{[]string{"-p", "99"}, []Setting{{Keyword: "Port", Value: "99", Literal: true}}},
	{[]string{"-l", "%u"}, []Setting{{Keyword: "User", Value: "%u", Literal: true}}},
	{[]string{"-i", "/dev/null"}, []Setting{{Keyword: "IdentityFile", Value: "/dev/null", Literal: true}}},
	{[]string{"-L", "80:a:1"}, []Setting{{Keyword: "LocalForward", Value: "80:a:1", Literal: true}}},
	{[]string{"-R", "80"}, []Setting{{Keyword: "RemoteForward", Value: "80", Literal: true}}},
	{[]string{"-R", "/a:/b"}, []Setting{{Keyword: "RemoteForward", Value: "/a:/b", Literal: true}}},
	{[]string{"-D", "[::1]:80"}, []Setting{{Keyword: "DynamicForward", Value: "[::1]:80", Literal: true}}},
	{[]string{"-J", "u@j:9,k"}, []Setting{{Keyword: "ProxyJump", Value: "u@j:9,k", Literal: true}}},
	{[]string{"-6"}, []Setting{{Keyword: "AddressFamily", Value: "inet6", Literal: true}}},
	{[]string{"-C", "-q", "-n"}, []Setting{{Keyword: "Compression", Value: "yes", Literal: true},
		{Keyword: "LogLevel", Value: "QUIET", Literal: true}, {Keyword: "StdinNull", Value: "yes", Literal: true}}},
	{[]string{"-N"}, []Setting{{Keyword: "SessionType", Value: "none", Literal: true}, {Keyword: "RequestTTY", Value: "no", Literal: true}}},
	{[]string{"-A", "-g"}, []Setting{{Keyword: "ForwardAgent", Value: "yes", Literal: true}, {Keyword: "GatewayPorts", Value: "yes", Literal: true}}},
	{[]string{"-c", "^aes256-ctr"}, []Setting{{Keyword: "Ciphers", Value: "^aes256-ctr", Literal: true}}},
	{[]string{"-m", "hmac-sha1"}, []Setting{{Keyword: "MACs", Value: "hmac-sha1", Literal: true}}},
	{[]string{"-S", "~/%r"}, []Setting{{Keyword: "ControlPath", Value: "~/%r", Literal: true}}},
	{[]string{"-e", "^]"}, []Setting{{Keyword: "EscapeChar", Value: "^]", Literal: true}}},
	{[]string{"-b", "::1"}, []Setting{{Keyword: "BindAddress", Value: "::1", Literal: true}}},
	{[]string{"-K"}, []Setting{{Keyword: "GSSAPIAuthentication", Value: "yes", Literal: true}, {Keyword: "GSSAPIDelegateCredentials", Value: "yes", Literal: true}}},
}
