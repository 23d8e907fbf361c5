package dest

import (
	"muxd/alive"
	"muxd/internal/sshconf"
)

// offer is what -G prints of lists and times where the configuration says
// nothing.
func offer() sshconf.Offer {
	of := func(list []string) sshconf.Algorithms { return sshconf.Algorithms{Default: list} }
	return sshconf.Offer{Ciphers: of(Ciphers), MACs: of(MACs), KexAlgorithms: of(KexAlgorithms),
		HostKeyAlgorithms: of(HostKeyAlgorithms), PubkeyAcceptedAlgorithms: of(PubkeyAlgorithms),
		HostbasedAcceptedAlgorithms: of(PubkeyAlgorithms), CASignatureAlgorithms: of(CASignatureAlgorithms),
		ServerAliveInterval: alive.UnsetInterval, ControlPersist: DefaultPersist}
}

// The algorithms offered where the configuration says nothing, in order of
// preference. They are the SSH library's own, without SHA-1, and with AES-GCM
// before chacha20 where the processor has AES: there it moves two to three times
// as much, and the library has no other reason to prefer one. Nobody writes to
// them.
var (
	// KexAlgorithms are the key exchanges.
	KexAlgorithms = []string{
		"mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org",
		"ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
		"diffie-hellman-group16-sha512", "diffie-hellman-group14-sha256",
	}
	// Ciphers encrypt, in either direction.
	Ciphers = byPreference([]string{
		"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", chacha,
		"aes128-ctr", "aes192-ctr", "aes256-ctr",
	}, fastAES())
	// MACs go with those ciphers that do not authenticate by themselves.
	MACs = []string{
		"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512",
	}
	// CASignatureAlgorithms are those with which an authority may have signed a
	// host's certificate.
	CASignatureAlgorithms = []string{
		"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
		"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "rsa-sha2-512", "rsa-sha2-256",
	}
	// PubkeyAlgorithms are those a user's key may be used with. The sk ones only
	// ever come from an agent.
	PubkeyAlgorithms = []string{
		"ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
		"ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp521-cert-v01@openssh.com",
		"rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com",
		"ssh-ed25519", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
		"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
	}
	// HostKeyAlgorithms are those by which a host may prove who it is.
	HostKeyAlgorithms = []string{
		"ssh-ed25519-cert-v01@openssh.com",
		"ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp521-cert-v01@openssh.com",
		"rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com",
		"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
		"rsa-sha2-512", "rsa-sha2-256",
	}
)
