package sshtest

import (
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
)

// LockedPassphrase opens the key of WriteLockedKey.
const LockedPassphrase = "pass"

// A key that opens nothing but servers of tests, by ssh-keygen -a 1: what
// Key.WriteFile encrypts takes sixteen rounds, which are seconds under the race
// detector, for each time that it is written and read.
const (
	lockedPublic  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE+efWYjmTwAiQX5wE0iQg/ZTtH3Jh4LNirbUvsTogs9"
	lockedPrivate = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABBnABEdCr
KY4KiH3mKEsCZgAAAAAQAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIE+efWYjmTwAiQX5
wE0iQg/ZTtH3Jh4LNirbUvsTogs9AAAAkPwHMKYewJiVe7lTfBiuQWMlUA+Nx906tJnhJ8
x2PVH9POcGbqlXvxJU7vsUmJLNcr+Dv6Nv7HsCTqVyQArL1a7uV7G8TBHQl7yQoN4vzkGQ
hKolyoa3KxChlxUmsUiNPte+L5k8bs+Q6AWVVFovbLHeYBDwjD/fYaNnjR2JTQ3IhFTyaW
PMYMQCGVdtro8Klg==
-----END OPENSSH PRIVATE KEY-----
`
)

// LockedKey returns the public half of what WriteLockedKey writes.
func LockedKey() ssh.PublicKey {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(lockedPublic))
	if err != nil {
		panic("sshtest: parse key: " + err.Error())
	}
	return key
}

// WriteLockedKey writes a key that LockedPassphrase opens into dir, as name and
// name.pub. It is the same each time.
func WriteLockedKey(t testing.TB, dir, name string) {
	t.Helper()
	writeFile(t, filepath.Join(dir, name), lockedPrivate)
	writeFile(t, filepath.Join(dir, name+".pub"), lockedPublic+"\n")
}
