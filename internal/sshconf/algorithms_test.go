package sshconf

import (
	"slices"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

func TestAssemble(t *testing.T) {
	def, all := words("a1 a2 b1"), words("a1 a2 b1 b2 c1 c2")
	for spec, want := range map[string]string{
		"": "a1 a2 b1", "b2,a1": "b2 a1", "c*": "c1 c2", "+c1": "a1 a2 b1 c1", "+a1,c?": "a1 a2 b1 c1 c2",
		"^c2,b1": "c2 b1 a1 a2", "-a*": "b1", "-a*,!a2": "a2 b1", "-zz": "a1 a2 b1", "b2,zz": "b2", "a1,a1": "a1",
	} {
		got, err := assemble(spec, def, all)
		if err != nil || !slices.Equal(got, words(want)) {
			t.Errorf("%q: got %v %v, want %s", spec, got, err, want)
		}
	}
	for _, spec := range []string{"zz", "a1,!a2", "+!b2"} {
		if _, err := assemble(spec, def, all); err == nil {
			t.Errorf("%q is no error", spec)
		}
	}
	if !slices.Equal(def, words("a1 a2 b1")) {
		t.Errorf("the defaults were changed: %v", def)
	}
}

func TestAlgorithmAccessors(t *testing.T) {
	c := must(t, person(t, "Ciphers ^aes256-ctr\nMACs hmac-sha2-512\nKexAlgorithms -*nistp*\nHostKeyAlgorithms ssh-*\nCASignatureAlgorithms +ssh-rsa\nPubkeyAcceptedAlgorithms -ssh-rsa", nil).in)
	if got, err := c.Ciphers(words("aes128-ctr aes256-ctr"), nil); err != nil || !slices.Equal(got, words("aes256-ctr aes128-ctr")) {
		t.Errorf("Ciphers %v %v", got, err)
	}
	if got, err := c.MACs(words("hmac-sha2-256"), nil); err == nil || !strings.Contains(err.Error(), "macs: no algorithm") {
		t.Errorf("MACs %v %v", got, err)
	}
	if got, err := c.HostKeyAlgorithms(words("x ssh-ed25519"), words("x ssh-ed25519 ssh-rsa")); err != nil || !slices.Equal(got, words("ssh-ed25519 ssh-rsa")) {
		t.Errorf("HostKeyAlgorithms %v %v", got, err)
	}
	wantError(t, person(t, "CASignatureAlgorithms ssh-rsa-cert-v01@openssh.com", nil).in, "Bad key types")
	wantError(t, person(t, "Ciphers +", nil).in, "Bad SSH2 cipher spec '+'.")
}

func TestAlgorithmsAsSSH(t *testing.T) {
	ssh := sshtest.Program(t, "ssh")
	w := newWorld(t)
	w.in.ConfigFile = "none"
	defaults, _ := w.ask(ssh, nil)
	specs := map[string][]string{
		"ciphers":                  {"", "aes128-ctr,3des-cbc", "+aes128-cbc", "^aes256-ctr,aes128-cbc", "-*cbc,aes*", "-chacha*", "-aes*,!aes128-ctr"},
		"macs":                     {"+hmac-md5", "-*etm*", "^hmac-sha1", "hmac-sha1"},
		"kexalgorithms":            {"+diffie-hellman-group1-sha1", "-*nistp*", "^curve25519-sha256", "ecdh-sha2-nistp256"},
		"hostkeyalgorithms":        {"ssh-*", "+ssh-rsa", "-*cert*", "^rsa-*,ssh-rsa", "*,!ssh-dss"},
		"pubkeyacceptedalgorithms": {"+ssh-rsa*", "ecdsa-*", "-sk-*"},
		"casignaturealgorithms":    {"+ssh-rsa", "-ecdsa*", "ssh-ed25519"},
	}
	queries := map[string]string{
		"ciphers": "cipher", "macs": "mac", "kexalgorithms": "kex", "hostkeyalgorithms": "HostKeyAlgorithms",
		"pubkeyacceptedalgorithms": "HostKeyAlgorithms", "casignaturealgorithms": "sig",
	}
	for name, list := range specs {
		all, def := query(t, ssh, queries[name]), strings.Split(defaults[name], ",")
		for _, spec := range list {
			var options []string
			if spec != "" {
				options = []string{name + "=" + spec}
			}
			theirs, refusal := w.ask(ssh, options)
			got, err := assemble(spec, def, all)
			if (refusal != nil) != (err != nil) {
				t.Errorf("%s %q: %v, ssh says %v", name, spec, err, refusal)
			}
			if refusal == nil && strings.Join(got, ",") != theirs[name] {
				t.Errorf("%s %q: got %v, ssh says %s", name, spec, got, theirs[name])
			}
		}
	}
}
