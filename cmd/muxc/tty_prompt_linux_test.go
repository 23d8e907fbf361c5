package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"muxd/internal/sshtest"
)

// never fails when the terminal ever showed text.
func (s *screen) never(text string) {
	s.t.Helper()
	if strings.Contains(s.out.String(), text) {
		s.t.Errorf("shown: %q in\n%q", text, s.out.String())
	}
}

func TestUnknownHostKey(t *testing.T) {
	t.Parallel()
	h, srv := startServer(t, sshtest.Options{})
	known := filepath.Join(h.dir, "known_hosts")
	os.Remove(known)
	print := ssh.FingerprintSHA256(srv.HostKey())
	question := `\A(?:muxc: box: connecting  \^C cancels\r\n)?\rThe authenticity of host '\[127\.0\.0\.1\]:\d+ \(\[127\.0\.0\.1\]:\d+\)' can't be established\.\r\n` +
		`ED25519 key fingerprint is: ` + regexp.QuoteMeta(print) + `\r\nThis key is not known by any other names\.\r\n` +
		`Are you sure you want to continue connecting \(yes/no/\[fingerprint\]\)\? `
	for _, tt := range []struct {
		answer string
		code   int
		says   string
	}{
		{"no\n", 255, `no\r\nmuxc: box: host key verification failed\r\n`},
		{"perhaps\nNo\n", 255, `perhaps\r\n\rPlease type 'yes', 'no' or the fingerprint: No\r\nmuxc: box: host key verification failed\r\n`},
		{"\x03", 130, `(\^C)?\r\n`},
		{"SHA256:" + strings.Repeat("A", 43) + "\n\x03", 130, `SHA256:A+\r\n\rPlease type 'yes', 'no' or the fingerprint: (\^C)?\r\n`},
		{print + "\n", 0, regexp.QuoteMeta(print) + `\r\nWarning: Permanently added '\[127\.0\.0\.1\]:\d+' \(ED25519\) to the list of known hosts\.\r\nhi\r\n`},
		{"yes\n", 0, `yes\r\nWarning: Permanently added '\[127\.0\.0\.1\]:\d+' \(ED25519\) to the list of known hosts\.\r\nhi\r\n`},
	} {
		s := h.onScreen(h.muxc("box", "echo hi"))
		before := s.fresh
		s.expect(question)
		for _, keys := range regexp.MustCompile(`[^\n]*\n|[^\n]+`).FindAllString(tt.answer, -1) {
			if keys == "\x03" && strings.Contains(tt.answer, "A") || keys == "No\n" {
				s.h.eventually("the question is repeated", func() bool { return s.count("Please type") == 1 })
			}
			s.types(keys)
		}
		s.ends(tt.code)
		s.expect(`\A` + tt.says + `\z`)
		s.restored(before)
		if b, err := os.ReadFile(known); (err == nil && len(b) > 0) != (tt.code == 0) {
			t.Errorf("%q: known_hosts has %q, %v", tt.answer, b, err)
		}
		if tt.code == 0 {
			h.run(h.muxc("-O", "exit", "box"), nil)
			os.Remove(known)
		}
	}
	h.pid()
}

func TestPassphrase(t *testing.T) {
	t.Parallel()
	k := sshtest.NewKey()
	h, srv := startServer(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{k.PublicKey()}})
	path := k.WriteFile(t, h.dir, "key", "open sesame")
	h.configure(lastAddr(t, h), srv.HostKey(), "IdentityFile "+path)
	s := h.onScreen(h.muxc("box", "echo hi"))
	before := s.fresh
	s.shows("Enter passphrase for key '" + path + "': ")
	s.hidesTyping()
	s.types("open says me\n")
	s.shows("Enter passphrase for key '" + path + "': ")
	s.hidesTyping()
	s.types("open sesame\n")
	s.ends(0)
	s.expect(`\A\r\nhi\r\n\z`)
	s.never("open")
	s.restored(before)
	h.run(h.muxc("box", "echo hi"), nil).is(t, "hi\n", "", 0) // nobody is asked again
}

func TestPassword(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{Password: "secret"})
	s := h.onScreen(h.muxc("box", "echo hi; cat"))
	before := s.fresh
	s.expect(`\A\rsomebody@127\.0\.0\.1's password: \z`)
	s.hidesTyping()
	s.types("guess\n")
	s.expect(`\A\r\nPermission denied, please try again\.\r\n\rsomebody@127\.0\.0\.1's password: `)
	s.hidesTyping()
	s.types("secret\n")
	s.expect(`\A\r\nhi\r\n`)
	s.restored(before)
	s.types("for the cat\n\x04")
	s.ends(0)
	s.expect(`\Afor the cat\r\nfor the cat\r\n\z`)
	s.never("secret")
}

func TestWrongPasswords(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{Password: "secret"})
	s := h.onScreen(h.muxc("box", "echo hi"))
	for range 3 {
		s.shows("password: ")
		s.hidesTyping()
		s.types("guess\n")
	}
	s.expect(`\A\r\nmuxc: box: [^\r\n]*Permission denied \(password\)[^\r\n]*\r\n`)
	s.ends(255)
}

// TestQuestionsOfTheServer: two of them, echoed or not as the server wishes,
// marked as not ours, and made harmless.
func TestQuestionsOfTheServer(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{Interactive: []sshtest.Round{{
		Name: "Two \x1b[31mfactors", Instruction: "Be quick.\nEnter passphrase for key '/id': ",
		Questions: []sshtest.Question{
			{Text: "Name\x07\x1b]0;title\x07: ", Echo: true, Answer: "me"},
			{Text: "Token:\r\nEnter passphrase for key '/home/me/.ssh/id': ", Answer: "123456"},
		}}}})
	s := h.onScreen(h.muxc("box", "echo hi"))
	before := s.fresh
	const mark = `\(somebody@127\.0\.0\.1\) `
	s.expect(`\r\n` + mark + `Name[^\r\n]*: \z`)
	s.types("me\n")
	s.expect(`\Ame\r\n\r` + mark + `Token:\r\n` + mark + `Enter passphrase for key '/home/me/.ssh/id': \z`)
	s.hidesTyping()
	s.types("123456\n")
	s.ends(0)
	s.expect(`\A\r\nhi\r\n\z`)
	s.restored(before)
	s.never("\x1b")
	s.never("\x07")
	s.never("123456")
}

// askpass is a program for SSH_ASKPASS.
func (h *host) askpass(script string) {
	h.t.Helper()
	path := filepath.Join(h.dir, "askpass")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		h.t.Fatal(err)
	}
	h.setenv("SSH_ASKPASS", path)
}

func TestAskpass(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{Password: "secret"})
	h.askpass(`printf '%s|%s\n' "$1" "$SSH_ASKPASS_PROMPT" >>` + h.dir + `/asked; echo secret; echo more`)
	h.setenv("SSH_ASKPASS_REQUIRE", "force")
	s := h.onScreen(h.muxc("box", "echo hi"))
	s.ends(0)
	s.expect(`\Ahi\r\n\z`)
	if got, want := read(t, h.dir+"/asked"), "somebody@127.0.0.1's password: |\n"; got != want {
		t.Errorf("the program was asked %q, want %q", got, want)
	}
	h.run(h.muxc("-O", "exit", "box"), nil)
	c := h.muxc("box", "cat")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal at all
	h.run(c, strings.NewReader("input")).is(t, "input", "", 0)

	h.run(h.muxc("-O", "exit", "box"), nil)
	h.askpass("exit 1") // the dialog is cancelled
	h.run(h.muxc("box", "echo hi"), nil).is(t, "", "muxc: box: SSH_ASKPASS gave no answer (exit status 1)\n", 255)
	h.setenv("SSH_ASKPASS", h.dir+"/missing")
	r := h.run(h.muxc("box", "echo hi"), nil)
	says := regexp.MustCompile(`\Amuxc: box: cannot run SSH_ASKPASS "` + h.dir + `/missing": no such file or directory\nmuxc: box: .*password.*nobody could be asked\n\z`)
	if r.code != 255 || r.out != "" || !says.MatchString(r.err) {
		t.Errorf("%+v", r)
	}
}

// TestNobodyCanBeAsked: one line that says for what a person was needed.
func TestNobodyCanBeAsked(t *testing.T) {
	t.Parallel()
	k := sshtest.NewKey()
	for _, tt := range []struct {
		name string
		opts sshtest.Options
		says string
	}{
		{"password", sshtest.Options{Password: "x"}, "box: .*Permission denied \\(password\\).*takes a password and nobody could be asked"},
		{"interactive", sshtest.Options{Interactive: []sshtest.Round{{Questions: []sshtest.Question{{Text: "?"}}}}}, "box: .*nobody could be asked"},
		{"passphrase", sshtest.Options{AuthorizedKeys: []ssh.PublicKey{k.PublicKey()}}, "box: .*/key needs a passphrase and nobody could be asked"},
		{"host key", sshtest.Options{}, "box: host key verification failed: ED25519 SHA256:.* is not known .*nobody could be asked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, srv := startServer(t, tt.opts)
			h.configure(lastAddr(t, h), srv.HostKey(), "IdentityFile "+k.WriteFile(t, h.dir, "key", "pass"))
			if tt.name == "host key" {
				os.Remove(filepath.Join(h.dir, "known_hosts"))
			}
			for _, args := range [][]string{nil, {"-o", "BatchMode=yes"}} {
				c := h.muxc(append(args, "box", "echo hi")...)
				c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
				h.run(c, nil).fails(t, tt.says)
			}
			time.Sleep(time.Second) // the least pause between two attempts
			s := h.onScreen(h.muxc("-o", "BatchMode=yes", "box", "echo hi"))
			s.ends(255)
			s.expect(`\Amuxc: box: [^\r\n]*nobody could be asked[^\r\n]*\r\n\z`)
		})
	}
}

// TestOnePromptForMany: of those that wait, one is asked; when it goes away, by
// ^C or killed, the next.
func TestOnePromptForMany(t *testing.T) {
	t.Parallel()
	h, srv := startServer(t, sshtest.Options{Password: "secret"})
	var all []*screen
	before := []unix.Termios{}
	for range 3 {
		s := h.onScreen(h.muxc("box", "echo hi"))
		before = append(before, s.modes())
		if len(all) == 0 {
			s.shows("password: ")
		} else {
			s.shows("connecting")
		}
		all = append(all, s)
	}
	for i, s := range all[1:] {
		if strings.Contains(s.out.String(), "password") {
			t.Errorf("waiting client %d was asked too", i+1)
		}
	}
	all[0].types("\x03")
	all[0].ends(130)
	all[0].restored(before[0])
	asked := 1
	h.eventually("the next is asked", func() bool {
		for i, s := range all[1:] {
			if s.count("password: ") > 0 {
				asked = i + 1
				return true
			}
		}
		return false
	})
	all[asked].hidesTyping()
	kill(t, all[asked].cmd.Process.Pid, syscall.SIGKILL)
	last := all[3-asked]
	last.shows("password: ")
	last.hidesTyping()
	last.types("secret\n")
	last.ends(0)
	last.expect(`\A\r\nhi\r\n\z`)
	last.restored(before[3-asked])
	if n := srv.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestTypedAheadOfAQuestion is no answer to it, and what is typed behind the
// answer is the session's.
func TestTypedAheadOfAQuestion(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{Password: "secret"})
	s := h.onScreen(h.sh("read x; exec $muxc box cat"))
	s.types("go\nahead\n")
	s.shows("password: ")
	s.hidesTyping()
	s.types("secret\nfor the cat\n\x04")
	s.ends(0)
	if text := s.unseen(); !strings.HasSuffix(text, "for the cat\r\n") || strings.Contains(text, "Permission") {
		t.Errorf("shown: %q", text)
	}
}

// TestQuestionDuringAnotherSession: the terminal of a session is not touched by
// the login of another client.
func TestPromptsGoToWhoAsked(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{Password: "secret"})
	a := h.onScreen(h.muxc("-t", "box", "cat"))
	a.shows("password: ")
	a.types("secret\n")
	a.becomesRaw()
	raw := a.modes()
	b := h.onScreen(h.muxc("-l", "another", "box", "echo hi"))
	b.shows("another@127.0.0.1's password: ")
	b.hidesTyping()
	a.types("still mine")
	a.shows("still mine")
	if a.modes() != raw {
		t.Error("the modes of the first one's terminal changed")
	}
	b.types("secret\n")
	b.shows("hi\r\n")
	b.ends(0)
	a.never("another")
}

// lastAddr is the address in the host's configuration.
func lastAddr(t *testing.T, h *host) string {
	t.Helper()
	text := read(t, h.cfg)
	m := regexp.MustCompile(`HostName (\S+)\s+Port (\d+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no address in %q", text)
	}
	return m[1] + ":" + m[2]
}

// Where another program caused the question, the person is told which.
func TestPromptNamesTheProgram(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "timeout")
	h, _ := startServer(t, sshtest.Options{Password: "secret"})
	direct := h.muxc("box", "echo hi")
	c := h.command("timeout", append([]string{"--foreground", "60"}, direct.Args...)...)
	s := h.onScreen(c)
	s.expect(`\A\rmuxc: somebody@127\.0\.0\.1: asked by timeout \(pid \d+\)\r\nsomebody@127\.0\.0\.1's password: \z`)
	s.types("secret\n")
	s.ends(0)
	s.expect(`\A\r\nhi\r\n\z`)
}

// ^C at a question ends a loop of the shell that asks for one host after the
// other: bash goes on after a status, and not after a signal.
func TestInterruptEndsALoop(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "bash")
	h, _ := startServer(t, sshtest.Options{Password: "secret"})
	c := h.command("bash", "-c", "for x in 1 2 3; do "+bin+"/muxc -F "+h.cfg+" box true; echo next; done")
	s := h.onScreen(c)
	s.shows("password: ")
	s.types("\x03")
	s.ends(130)
	s.never("next")
}

// ^C at the question of one host is the end of muxd login, and not of that host.
func TestLoginAheadInterrupted(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{})
	os.Remove(filepath.Join(h.dir, "known_hosts"))
	for _, end := range []func(s *screen){
		func(s *screen) { s.types("\x03") },
		func(s *screen) { unix.Kill(s.cmd.Process.Pid, syscall.SIGTERM) },
	} {
		s := h.onScreen(h.command("muxd", "login", "-F", h.cfg, "box", "box"))
		s.expect(`continue connecting \(yes/no/\[fingerprint\]\)\? `)
		end(s)
		s.ends(1)
		s.expect(`\A(?:\^C)?(?:\r\n)?muxd: box: interrupted\r\n\z`)
		s.restored(s.fresh)
	}
}
