package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// keyKind is a way to write a key, and whether there is a passphrase.
type keyKind struct {
	name   string
	args   []string // of ssh-keygen
	secret bool
	extra  func(k *kinds, path string) // what else there is to do
	lines  []string                    // of the configuration; $F is the file
}

const passphrase = "open sesame"

// kinds is an sshd that takes every key that its test makes, and a
// configuration that has a name for each.
type kinds struct {
	*host
	keys, authorized, ca string
}

func startKinds(t *testing.T) *kinds {
	t.Helper()
	sshtest.Require(t, "ssh-keygen", "ssh-agent", "ssh-add", "pgrep")
	dir := t.TempDir()
	k := &kinds{keys: dir, authorized: filepath.Join(dir, "authorized"), ca: filepath.Join(dir, "ca")}
	keygen(t, k.ca, "-t", "ed25519", "-N", "")
	if err := os.WriteFile(k.authorized, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k.host = startHost(t, "AuthorizedKeysFile "+k.authorized, "TrustedUserCAKeys "+k.ca+".pub")
	k.cfg = filepath.Join(dir, "config")
	return k
}

func keygen(t testing.TB, path string, args ...string) {
	t.Helper()
	args = append([]string{"-q", "-a", "1", "-C", "me@home", "-f", path}, args...)
	if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
		sshtest.Lacks(t, "ssh-keygen", fmt.Errorf("one that has %q: %v: %s", args, err, out))
	}
}

// add makes a key and a name for it; the server takes it.
func (k *kinds) add(t testing.TB, kind keyKind) string {
	t.Helper()
	path := filepath.Join(k.keys, kind.name)
	pass := ""
	if kind.secret {
		pass = passphrase
	}
	keygen(t, path, append(kind.args, "-N", pass)...)
	appendTo(t, k.authorized, read(t, path+".pub"))
	if kind.extra != nil {
		kind.extra(k, path)
	}
	lines := kind.lines
	if lines == nil {
		lines = []string{"IdentityFile $F"}
	}
	lines = append(append([]string{"Host " + kind.name}, lines...), "HostName "+k.sshd.Host, "Port "+strconv.Itoa(k.sshd.Port), "User "+k.sshd.User,
		"IdentityFile none", "UserKnownHostsFile "+k.sshd.KnownHosts, "GlobalKnownHostsFile "+os.DevNull)
	appendTo(t, k.cfg, strings.ReplaceAll(strings.Join(lines, "\n  "), "$F", path)+"\n")
	return path
}

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// fingerprint is that of the public half beside a key.
func fingerprint(t testing.TB, path string) string {
	t.Helper()
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(read(t, path+".pub")))
	if err != nil {
		t.Fatal(err)
	}
	return ssh.FingerprintSHA256(pub)
}

// must runs a program that has to succeed.
func must(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// startAgent is the person's own agent, with keys in it.
func startAgent(t testing.TB, paths ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "own")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("ssh-agent", "-D", "-a", dir+"/s")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait(); os.RemoveAll(dir) })
	if !until(long, func() bool { _, err := os.Stat(dir + "/s"); return err == nil }) {
		t.Fatal("the agent does not listen")
	}
	for _, path := range paths {
		add := exec.Command("ssh-add", "-q", path)
		add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+dir+"/s")
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("ssh-add: %v: %s", err, out)
		}
	}
	return dir + "/s"
}

// certify signs the key beside path, and takes the plain one off the server.
func certify(k *kinds, path string) {
	must(k.t, "ssh-keygen", "-q", "-s", k.ca, "-I", "me", "-n", k.sshd.User, path+".pub")
	if err := os.WriteFile(k.authorized, nil, 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// onlyInAgent leaves the public half alone in the file system.
func onlyInAgent(line string) func(k *kinds, path string) {
	return func(k *kinds, path string) {
		socket := startAgent(k.t, path)
		os.Remove(path)
		appendTo(k.t, k.cfg, "Match originalhost "+filepath.Base(path)+"\n  "+strings.ReplaceAll(line, "$S", socket)+"\n")
	}
}

// TestLoginWithEveryKey: each kind of key logs in to a real sshd, asks once in
// ssh's words where it is encrypted, and not again for the next connection.
func TestLoginWithEveryKey(t *testing.T) {
	t.Parallel()
	k := startKinds(t)
	agentLines := []string{"IdentitiesOnly no"}
	for _, kind := range []keyKind{
		{name: "ed25519", args: []string{"-t", "ed25519"}},
		{name: "rsa", args: []string{"-t", "rsa", "-b", "2048"}},
		{name: "ecdsa", args: []string{"-t", "ecdsa", "-b", "521"}},
		{name: "encrypted", args: []string{"-t", "ed25519"}, secret: true},
		{name: "cbc", args: []string{"-t", "rsa", "-b", "2048", "-Z", "aes256-cbc"}, secret: true},
		{name: "gcm", args: []string{"-t", "ed25519", "-Z", "aes256-gcm@openssh.com"}, secret: true},
		{name: "chacha", args: []string{"-t", "ecdsa", "-Z", "chacha20-poly1305@openssh.com"}, secret: true},
		{name: "pem", args: []string{"-t", "rsa", "-b", "2048", "-m", "PEM"}, secret: true},
		{name: "pkcs8-plain", args: []string{"-t", "ecdsa", "-m", "PKCS8"}},
		{name: "pkcs8", args: []string{"-t", "rsa", "-b", "2048", "-m", "PKCS8"}, secret: true},
		{name: "no-pub", args: []string{"-t", "ecdsa", "-m", "PKCS8"}, secret: true,
			extra: func(k *kinds, path string) { os.Rename(path+".pub", path+".hidden") }},
		{name: "openssl", args: []string{"-t", "rsa", "-b", "2048", "-m", "PEM"}, extra: func(k *kinds, path string) {
			sshtest.Require(k.t, "openssl")
			must(k.t, "openssl", "pkcs8", "-topk8", "-v2", "aes-128-cbc", "-in", path, "-out", path+".p8", "-passout", "pass:"+passphrase)
			os.Chmod(path+".p8", 0o600)
			os.Rename(path+".p8", path)
		}},
		{name: "certificate", args: []string{"-t", "ed25519"}, extra: certify},
		{name: "certificate-gcm", args: []string{"-t", "ed25519", "-Z", "aes256-gcm@openssh.com"}, secret: true, extra: certify},
		{name: "certificatefile", args: []string{"-t", "ed25519"}, lines: []string{"IdentityFile $F", "CertificateFile $F.crt"},
			extra: func(k *kinds, path string) { certify(k, path); os.Rename(path+"-cert.pub", path+".crt") }},
		{name: "agent", args: []string{"-t", "ed25519"}, lines: agentLines, extra: onlyInAgent("IdentityAgent $S")},
		{name: "agent-only", args: []string{"-t", "ed25519"}, lines: []string{"IdentitiesOnly yes", "IdentityFile $F.pub"}, extra: onlyInAgent("IdentityAgent $S")},
	} {
		t.Run(kind.name, func(t *testing.T) {
			k.t = t
			path := k.add(t, kind)
			s := k.onScreen(k.muxc(kind.name, "echo hi"))
			if kind.secret || kind.name == "openssl" {
				s.expect(`\A\rEnter passphrase for key '` + path + `': \z`)
				s.hidesTyping()
				s.types("wrong\n")
				s.expect(`\A\r\n\rEnter passphrase for key '` + path + `': \z`)
				s.hidesTyping()
				s.types(passphrase + "\n")
				s.expect(`\A\r\nhi\r\n\z`)
			} else {
				s.expect(`\Ahi\r\n\z`)
			}
			s.ends(0)
			s.never(passphrase)
			if kind.name == "no-pub" {
				os.Rename(path+".hidden", path+".pub")
			}
			if print := fingerprint(t, path); !strings.Contains(k.sshd.Log(), print) {
				t.Errorf("sshd did not take %s", print)
			}
			logins := k.sshd.Logins()
			k.run(k.muxc("-O", "exit", kind.name), nil)
			c := k.muxc(kind.name, "echo again") // without anybody
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			k.run(c, nil).is(t, "again\n", "", 0)
			if n := k.sshd.Logins(); n != logins+1 {
				t.Errorf("%d logins", n-logins)
			}
		})
	}
	k.t = t
	k.pid()
}

var gcmKind = keyKind{name: "gcm", args: []string{"-t", "ed25519", "-Z", "aes256-gcm@openssh.com"}, secret: true}

// children are the processes of OpenSSH that belong to the host's muxd.
func (k *kinds) children() string {
	out, _ := exec.Command("pgrep", "-af", "^[^ ]*ssh-a[a-z]+ .*"+k.keys+"|^[^ ]*ssh-agent -a "+k.socket()).Output()
	return string(out)
}

// TestRememberSecretsNo asks for each login, and leaves nothing in between.
func TestRememberSecretsNo(t *testing.T) {
	t.Parallel()
	k := startKinds(t)
	path := k.add(t, gcmKind)
	for range 2 {
		s := k.onScreen(k.muxc("-o", "RememberSecrets=no", "gcm", "echo hi"))
		s.shows("Enter passphrase for key '" + path + "': ")
		s.hidesTyping()
		s.types(passphrase + "\n")
		s.ends(0)
		k.run(k.muxc("-o", "RememberSecrets=no", "-O", "exit", "gcm"), nil)
	}
}

// TestForeignKeyWithoutAPerson: a sentence with the file, and SSH_ASKPASS is a
// person.
func TestForeignKeyWithoutAPerson(t *testing.T) {
	t.Parallel()
	k := startKinds(t)
	path := k.add(t, gcmKind)
	for _, args := range [][]string{{"gcm", "true"}, {"-o", "BatchMode=yes", "gcm", "true"}} {
		c := k.muxc(args...)
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		k.run(c, nil).fails(t, "gcm: .*key "+path+" needs a passphrase and nobody could be asked")
	}
	k.askpass(`printf '%s\n' "$1" >>` + k.dir + `/asked; echo '` + passphrase + `'`)
	k.setenv("SSH_ASKPASS_REQUIRE", "force")
	k.run(k.muxc("gcm", "echo hi"), nil).is(t, "hi\n", "", 0)
	if got, want := read(t, k.dir+"/asked"), "Enter passphrase for key '"+path+"': \n"; got != want {
		t.Errorf("asked %q", got)
	}
}

// TestForeignPromptIsLeft: ^C ends the request and ssh-add with it; a muxd that
// is killed takes both of its programs along; and the next one asks again.
func TestForeignPromptIsLeft(t *testing.T) {
	t.Parallel()
	k := startKinds(t)
	path := k.add(t, gcmKind)
	question := "Enter passphrase for key '" + path + "': "
	s := k.onScreen(k.muxc("gcm", "echo hi"))
	before := s.fresh
	s.shows(question)
	s.types("\x03")
	s.ends(130)
	s.restored(before)
	k.eventually("ssh-add ended", func() bool { return !strings.Contains(k.children(), "ssh-add") })
	s = k.onScreen(k.muxc("gcm", "echo hi"))
	s.shows(question)
	if left := k.children(); strings.Count(left, "ssh-add") != 1 || !strings.Contains(left, "ssh-agent") {
		t.Errorf("while it asks there are: %s", left)
	}
	kill(t, k.pid(), syscall.SIGKILL)
	s.ends(255)
	s.restored(before)
	k.eventually("muxd's programs ended", func() bool { return k.children() == "" })
	k.eventually("their directory went", func() bool { left, _ := filepath.Glob(k.socket() + ".keys*"); return len(left) == 0 })
	s = k.onScreen(k.muxc("gcm", "echo hi"))
	s.shows(question)
	s.hidesTyping()
	s.types(passphrase + "\n")
	s.ends(0)
	if left := k.children(); !strings.Contains(left, "ssh-agent") {
		t.Errorf("no private agent: %s", left)
	}
	k.run(k.command("muxd", "stop", "--force"), nil)
	k.eventually("the agent ended with muxd", func() bool { return k.children() == "" })
}

// TestAddKeysToAgent on a terminal: asked in ssh's words, and in the agent
// afterwards.
func TestAddKeysToAgent(t *testing.T) {
	t.Parallel()
	k := startKinds(t)
	path := k.add(t, keyKind{name: "key", args: []string{"-t", "ed25519"}, secret: true})
	socket := startAgent(t)
	k.setenv("SSH_AUTH_SOCK", socket)
	inAgent := func() bool {
		c := exec.Command("ssh-add", "-l")
		c.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
		out, _ := c.Output()
		return strings.Contains(string(out), fingerprint(t, path)+" me@home")
	}
	for _, answer := range []string{"no", "yes"} {
		s := k.onScreen(k.muxc("-o", "AddKeysToAgent=ask", "-o", "RememberSecrets=no", "key", "echo hi"))
		s.shows("Enter passphrase for key '" + path + "': ")
		s.hidesTyping()
		s.types(passphrase + "\n")
		s.shows(fmt.Sprintf("Add key %s (me@home) to agent? ", path))
		s.types(answer + "\n")
		s.ends(0)
		if inAgent() != (answer == "yes") {
			t.Errorf("%s: in the agent: %v", answer, inAgent())
		}
		k.run(k.muxc("-o", "RememberSecrets=no", "-O", "exit", "key"), nil)
	}
	k.run(k.muxc("-o", "RememberSecrets=no", "key", "echo hi"), nil).is(t, "hi\n", "", 0)
}

// TestKeyAndCode: a key is half of the login, and the rest are two rounds of
// questions; once again, for a new connection, only those.
func TestKeyAndCode(t *testing.T) {
	t.Parallel()
	key := sshtest.NewKey()
	h, srv := startServer(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}, AuthMethods: []string{"publickey", "keyboard-interactive"},
		Interactive: []sshtest.Round{{Questions: []sshtest.Question{{Text: "Code: ", Answer: "123456"}}}, {Instruction: "Welcome"},
			{Questions: []sshtest.Question{{Text: "Reason: ", Echo: true, Answer: "work"}}}}})
	path := key.WriteFile(t, h.dir, "key", passphrase)
	h.configure(lastAddr(t, h), srv.HostKey(), "IdentityFile "+path)
	for again := range 2 {
		s := h.onScreen(h.muxc("box", "echo hi"))
		if again == 0 {
			s.shows("Enter passphrase for key '" + path + "': ")
			s.hidesTyping()
			s.types(passphrase + "\n")
		}
		for _, code := range []string{"000000", "123456"} { // a wrong one may be corrected
			s.shows("(somebody@127.0.0.1) Code: ")
			s.hidesTyping()
			s.types(code + "\n")
		}
		s.shows("(somebody@127.0.0.1) Reason: ")
		s.types("work\n")
		s.shows("hi\r\n")
		s.ends(0)
		h.run(h.muxc("-O", "exit", "box"), nil)
	}
	h.run(h.muxc("-o", "BatchMode=yes", "box", "true"), nil).fails(t, `keyboard-interactive.*nobody could be asked`)
}

// TestSmartCard: -I, and a PIN in the place of a passphrase.
func TestSmartCard(t *testing.T) {
	t.Parallel()
	k := startKinds(t)
	lib := sshtest.SoftHSM(t)
	conf := filepath.Join(k.dir, ".config/softhsm2")
	if err := os.MkdirAll(conf, 0o700); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(k.dir+"/tokens", 0o700)
	appendTo(t, conf+"/softhsm2.conf", "directories.tokendir = "+k.dir+"/tokens\n")
	path := k.add(t, keyKind{name: "card", args: []string{"-t", "rsa", "-b", "2048", "-m", "PKCS8"}, lines: []string{"IdentityAgent none"}})
	for _, args := range [][]string{{"--init-token", "--free", "--label", "card", "--pin", "1234", "--so-pin", "5678"},
		{"--import", path, "--token", "card", "--label", "login", "--id", "01", "--pin", "1234"}} {
		c := exec.Command("softhsm2-util", args...)
		c.Env = append(os.Environ(), "HOME="+k.dir)
		if out, err := c.CombinedOutput(); err != nil {
			sshtest.Lacks(t, "softhsm2-util", fmt.Errorf("one that works: %v: %s", err, out))
		}
	}
	s := k.onScreen(k.muxc("-I", lib, "card", "echo hi"))
	s.shows("Enter PIN for '" + lib + "': ")
	s.hidesTyping()
	s.types("1234\n")
	s.ends(0)
	s.expect(`\A\r\nhi\r\n\z`)
	k.run(k.muxc("-I", lib, "-O", "exit", "card"), nil)
	k.run(k.muxc("-I", lib, "card", "echo hi"), nil).is(t, "hi\n", "", 0)
	k.run(k.muxc("card", "echo hi"), nil).fails(t, "card: .*Permission denied") // who does not name it does not get it
}
