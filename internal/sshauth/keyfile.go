package sshauth

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// maxKeyFile is OpenSSH's bound on a key file (MAX_KEY_FILE_SIZE, sshkey.h).
const maxKeyFile = 1 << 20

// keyFile is an IdentityFile: what is known of it without its passphrase.
type keyFile struct {
	path      string
	pub       ssh.PublicKey    // nil: an encrypted file of an old format, and no .pub
	cert      *ssh.Certificate // from FILE-cert.pub
	encrypted bool
	// fault says why the private half cannot be used here. The key may still be
	// in the agent, so it is told only if it is not.
	fault error

	signer ssh.Signer // once decrypted, until the end of the login
	raw    any        // the same key as an agent takes it
	added  bool       // the agent was given it, or is not to be

	// Of a file that the private agent reads:
	failed error    // why it could not
	held   *holding // what it has
	lent   bool     // the person's own agent read it instead (AddKeysToAgent)
}

// errMissing is the fault of a file that is not there.
var errMissing = errors.New("no such file")

// errPublicHalf is the fault of a public key that was given as an identity.
var errPublicHalf = errors.New("it is a public key, and the agent does not have its private half")

// readKeyFile reads an identity. Whatever is wrong with the private half, the
// public one is looked for in the file and beside it, since with that the agent
// may have the key.
func readKeyFile(path string) *keyFile {
	f := &keyFile{path: path}
	data, err := readFile(path, true)
	defer clear(data)
	if data != nil {
		inspect(f, data)
	}
	if err != nil && f.fault != errPublicHalf { // which anybody may read
		f.fault = err
	}
	if f.pub == nil {
		f.pub, _ = readPublic(path + ".pub")
	}
	if f.pub != nil && isSK(f.pub) && f.fault == nil {
		f.fault = &foreignError{"it lives in a security key, which only an agent reaches", path}
	}
	if pub, err := readPublic(path + "-cert.pub"); err == nil {
		f.cert, _ = pub.(*ssh.Certificate)
	}
	return f
}

// readFile reads a regular file. Of a private one whose mode lets others in,
// it returns both the content and an error: OpenSSH too refuses to use it
// (sshkey_perm_ok, authfile.c), and looks at the owner's own files only.
func readFile(path string, private bool) ([]byte, error) {
	// Without O_NONBLOCK a fifo would hold the login for ever.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errMissing
	}
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(data) > maxKeyFile {
		return nil, errors.New("it is too large for a key")
	}
	if private && ours(info) && info.Mode().Perm()&0o077 != 0 {
		return data, fmt.Errorf("its permissions %#o are too open (chmod 600 %s)", info.Mode().Perm(), path)
	}
	return data, nil
}

func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}

// cause drops the operation and path of a file's error, which are told anyway.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func readPublic(path string) (ssh.PublicKey, error) {
	data, err := readFile(path, false)
	if err != nil {
		return nil, err
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey(data)
	return pub, err
}

// inspect finds what a key file holds.
func inspect(f *keyFile, data []byte) {
	block, _ := pem.Decode(data)
	if block == nil {
		inspectPublic(f, data)
		return
	}
	defer clear(block.Bytes)
	switch {
	case block.Type == "OPENSSH PRIVATE KEY":
		f.pub, f.encrypted, f.fault = inspectOpenSSH(f.path, block.Bytes)
	case block.Type == "ENCRYPTED PRIVATE KEY":
		f.encrypted, f.fault = true, &foreignError{"encrypted PKCS#8 cannot be read here", f.path}
	case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"): // RFC 1421
		f.encrypted = true
	default:
		s, err := ssh.ParsePrivateKey(data)
		if err != nil {
			f.fault = &foreignError{strings.TrimPrefix(err.Error(), "ssh: "), f.path}
			return
		}
		f.pub = s.PublicKey()
	}
}

// inspectPublic: an IdentityFile may be a public key alone, which says which of
// the agent's keys to use.
func inspectPublic(f *keyFile, data []byte) {
	pub, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		f.fault = errors.New("it holds no key")
		return
	}
	f.pub = pub
	f.fault = errPublicHalf
}

// openSSHMagic begins OpenSSH's own format (PROTOCOL.key).
const openSSHMagic = "openssh-key-v1\x00"

// maxKDFRounds is x/crypto's bound on the work to decrypt a key (keys.go).
const maxKDFRounds = 1 << 11

// inspectOpenSSH reads the part of the format that is never encrypted. Ciphers
// that x/crypto lacks show here, before a passphrase is asked for in vain.
func inspectOpenSSH(path string, raw []byte) (pub ssh.PublicKey, encrypted bool, fault error) {
	raw, ok := bytes.CutPrefix(raw, []byte(openSSHMagic))
	var head struct {
		Cipher, KDF, Options string
		Keys                 uint32
		Pub                  []byte
		Rest                 []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(raw, &head); !ok || err != nil {
		return nil, false, errors.New("it is damaged")
	}
	defer clear(head.Rest)
	// Cloned, as the key goes on pointing into what the caller wipes.
	if pub, fault = ssh.ParsePublicKey(bytes.Clone(head.Pub)); fault != nil {
		return nil, false, errors.New("its kind of key is not known here: run ssh-add " + path)
	}
	if head.Cipher == "none" {
		return pub, false, nil
	}
	var kdf struct {
		Salt   string
		Rounds uint32
	}
	if err := ssh.Unmarshal([]byte(head.Options), &kdf); err != nil || head.KDF != "bcrypt" || kdf.Rounds > maxKDFRounds {
		return pub, true, &foreignError{"its key derivation cannot be done here", path}
	}
	if head.Cipher != "aes256-ctr" && head.Cipher != "aes256-cbc" {
		return pub, true, &foreignError{fmt.Sprintf("its cipher %q cannot be read here", head.Cipher), path}
	}
	return pub, true, nil
}
