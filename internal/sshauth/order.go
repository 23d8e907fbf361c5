package sshauth

import (
	"slices"

	"golang.org/x/crypto/ssh"
)

// candidate is a public key to offer, and where its private half is.
type candidate struct {
	pub ssh.PublicKey // nil: not known before the passphrase is; then file is set
	// agentKey is what the agent signs with, pub or the key in its
	// certificate; nil: the agent has neither.
	agentKey ssh.PublicKey
	file     *keyFile // nil: not a file's
	// token is the PKCS#11 provider that has the key; without pub the candidate
	// stands for all of its keys, which cost a PIN to be known.
	token string
	dead  bool // it was taken and could not sign
}

// source is what candidates are chosen from.
type source struct {
	files []*keyFile
	certs []*ssh.Certificate // CertificateFile; replace the files' own
	agent []ssh.PublicKey
	token string // PKCS11Provider
	only  bool   // IdentitiesOnly
}

// order lists the candidates as pubkey_prepare (sshconnect2.c) does:
// certificates of the configuration, configured keys that the agent has, its
// other keys, those of a smart card, configured keys that are files only. Among the configured ones
// their own order holds, where ssh takes the agent's. No key comes twice.
func (s source) order() []*candidate {
	var certs, both, agent, token, files []*candidate
	for _, c := range s.certs {
		certs = append(certs, s.candidate(c, s.fileOf(c.Key)))
	}
	for _, f := range s.files {
		for _, pub := range s.offers(f) {
			c := s.candidate(pub, f)
			if pub != nil && c.agentKey != nil && sameKey(pub, c.agentKey) {
				both = append(both, c)
			} else {
				files = append(files, c)
			}
		}
	}
	if !s.only {
		for _, pub := range s.agent {
			agent = append(agent, s.candidate(pub, nil))
		}
	}
	if s.token != "" {
		token = append(token, &candidate{token: s.token})
	}
	return unique(slices.Concat(certs, both, agent, token, files))
}

// offers lists what a file may be offered as.
func (s source) offers(f *keyFile) []ssh.PublicKey {
	offers := []ssh.PublicKey{f.pub}
	if f.cert != nil && len(s.certs) == 0 {
		offers = append(offers, f.cert)
	}
	return offers
}

func (s source) candidate(pub ssh.PublicKey, f *keyFile) *candidate {
	c := &candidate{pub: pub, file: f}
	if pub == nil {
		return c
	}
	for _, k := range s.agent {
		if sameKey(k, pub) {
			c.agentKey = k
			return c
		}
		if c.agentKey == nil && isCert(pub) && sameKey(k, plainKey(pub)) {
			c.agentKey = k
		}
	}
	return c
}

func (s source) fileOf(pub ssh.PublicKey) *keyFile {
	i := slices.IndexFunc(s.files, func(f *keyFile) bool { return f.pub != nil && sameKey(plainKey(f.pub), pub) })
	if i < 0 {
		return nil
	}
	return s.files[i]
}

func unique(all []*candidate) []*candidate {
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(c *candidate) bool {
		if c.pub == nil {
			return false
		}
		dup := seen[blob(c.pub)]
		seen[blob(c.pub)] = true
		return dup
	})
}
