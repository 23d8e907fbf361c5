package sshtest

import (
	"crypto/ed25519"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Key is a fresh ed25519 key pair: a signer for x/crypto, and its private half
// for files and agents.
type Key struct {
	ssh.Signer
	Private ed25519.PrivateKey
}

// NewKey makes a key. It panics where the system has no randomness.
func NewKey() *Key {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic("sshtest: make key: " + err.Error())
	}
	return key(private)
}

// SameKey is a key that is the same in every process, as the seeds of a fuzz target
// must be: they are made in one process and tried in others.
func SameKey(n byte) *Key {
	seed := [ed25519.SeedSize]byte{n}
	return key(ed25519.NewKeyFromSeed(seed[:]))
}

func key(private ed25519.PrivateKey) *Key {
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		panic("sshtest: use key: " + err.Error())
	}
	return &Key{signer, private}
}

// Line returns the public half as a line of authorized_keys, newline included.
func (k *Key) Line() string { return string(ssh.MarshalAuthorizedKey(k.PublicKey())) }

// WriteFile writes the key in OpenSSH's format into dir, as name and name.pub,
// encrypted when passphrase is not empty, and returns the path of the former.
func (k *Key) WriteFile(t testing.TB, dir, name, passphrase string) string {
	t.Helper()
	block, err := k.marshal(passphrase)
	if err != nil {
		t.Fatalf("marshal key: %v", err)
	}
	path := filepath.Join(dir, name)
	writeFile(t, path, string(pem.EncodeToMemory(block)))
	writeFile(t, path+".pub", k.Line())
	return path
}

func (k *Key) marshal(passphrase string) (*pem.Block, error) {
	if passphrase == "" {
		return ssh.MarshalPrivateKey(k.Private, "sshtest")
	}
	return ssh.MarshalPrivateKeyWithPassphrase(k.Private, "sshtest", []byte(passphrase))
}

// writeFile writes a private file: ssh refuses a key that others may read.
func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
