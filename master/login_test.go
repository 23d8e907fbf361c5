package master

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

func TestLoginByKeyFile(t *testing.T) {
	key := sshtest.NewKey()
	inBubble(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}}, func(t *testing.T, r *rig) {
		key.WriteFile(t, filepath.Join(r.home, ".ssh"), "id_ed25519", "")
		p := says("")
		if _, err := r.ask(t.Context(), p, "host", "true"); err != nil || p.Times() != 0 {
			t.Errorf("%v, asked %d times", err, p.Times())
		}
	})
}

// One passphrase for ten; the deadline of the handshake does not count the
// time in which it is typed.
func TestLoginByPassphrase(t *testing.T) {
	inBubble(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{sshtest.LockedKey()}}, func(t *testing.T, r *rig) {
		sshtest.WriteLockedKey(t, filepath.Join(r.home, ".ssh"), "id_ed25519")
		var people []control.Prompter
		for range 10 {
			p := &person{}
			p.OnPrompt = func(context.Context, control.Prompt) (control.Answer, error) {
				time.Sleep(90 * time.Second)
				return control.Answer{Text: sshtest.LockedPassphrase}, nil
			}
			people = append(people, p)
		}
		for _, o := range r.many(people, "host", "true") {
			if o.err != nil {
				t.Error(o.err)
			}
		}
		if a := asked(people); strings.Count(a, "1") != 1 || strings.Count(a, "0") != 9 {
			t.Errorf("asked %s", a)
		}
		for _, p := range people {
			for _, q := range p.(*person).Asked() {
				if q.Kind != control.PromptSecret || !strings.Contains(q.Text, "id_ed25519") || q.Remote {
					t.Errorf("%+v", q)
				}
			}
		}
		r.wantLogins(1)
	})
}

// A decrypted key serves the next login of whoever names its file, for as long
// as RememberSecrets says: by default for ever.
func TestRememberedKey(t *testing.T) {
	for _, c := range []struct {
		args  []string
		after time.Duration
		asked int
	}{
		{nil, time.Minute, 0},
		{[]string{"-o", "RememberSecrets=yes"}, 100 * time.Hour, 0},
		{[]string{"-o", "RememberSecrets=1h"}, 30 * time.Minute, 0},
		{[]string{"-o", "RememberSecrets=1h"}, 61 * time.Minute, 1},
		{[]string{"-o", "RememberSecrets=no"}, time.Minute, 1},
		{[]string{"-o", "RememberSecrets=0"}, time.Minute, 1},
	} {
		inBubble(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{sshtest.LockedKey()}}, func(t *testing.T, r *rig) {
			sshtest.WriteLockedKey(t, filepath.Join(r.home, ".ssh"), "id_ed25519")
			p := says(sshtest.LockedPassphrase, sshtest.LockedPassphrase)
			for range 2 {
				if _, err := r.ask(t.Context(), p, append(c.args, "host", "true")...); err != nil {
					t.Fatal(err)
				}
				r.wantManaged("exit", "Exit request sent.")
				time.Sleep(c.after)
			}
			if n := p.Times(); n != 1+c.asked {
				t.Errorf("%q after %v: asked %d times", c.args, c.after, n)
			}
			r.wantLogins(2)
		})
	}
}

// A password is asked for anew, whatever RememberSecrets says.
func TestPasswordsAreNotRemembered(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
		p := says("secret", "secret")
		for range 2 {
			if _, err := r.ask(t.Context(), p, "-o", "RememberSecrets=yes", "host", "true"); err != nil {
				t.Fatal(err)
			}
			r.wantManaged("exit", "Exit request sent.")
		}
		if n := p.Times(); n != 2 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestLoginByPassword(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
		p := says("wrong", "secret")
		if _, err := r.ask(t.Context(), p, "host", "true"); err != nil {
			t.Fatal(err)
		}
		qs := p.Asked()
		if len(qs) != 2 || qs[0].Kind != control.PromptSecret || qs[0].Text != "me@host's password: " {
			t.Errorf("%+v", qs)
		}
	})
}

func TestLoginByKeyboardInteractive(t *testing.T) {
	opts := sshtest.Options{Interactive: []sshtest.Round{{Questions: []sshtest.Question{{Text: "Code: ", Echo: true, Answer: "42"}, {Text: "PIN: ", Answer: "7"}}}}}
	inBubble(t, opts, func(t *testing.T, r *rig) {
		p := says("42", "7")
		if _, err := r.ask(t.Context(), p, "host", "true"); err != nil {
			t.Fatal(err)
		}
		qs := p.Asked()
		if len(qs) != 2 || qs[0].Kind != control.PromptText || qs[1].Kind != control.PromptSecret || !qs[0].Remote || !strings.Contains(qs[0].Text, "Code: ") {
			t.Errorf("%+v", qs)
		}
	})
}

// A refused login blocks: no timer repeats it, and every request makes one
// attempt with its own person.
func TestARefusedLoginBlocks(t *testing.T) {
	for _, c := range []struct {
		name string
		p    control.Prompter
		args []string
		part string
	}{
		{"refused", says("wrong"), nil, "ermission denied"},
		{"no method", nil, []string{"-o", "PasswordAuthentication=no", "-o", "KbdInteractiveAuthentication=no"}, ""},
		{"nobody", nil, nil, ""},
		{"batch", says("secret"), []string{"-o", "BatchMode=yes"}, ""},
		{"quiet person", thinks(), nil, "nobody answered within 2m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
				args := append(c.args, "host", "true")
				_, err := r.ask(t.Context(), c.p, args...)
				wantError(t, err, control.Refused, "host: ", c.part)
				t.Log(err)
				r.wantState("blocked")
				n := r.srv.Count(sshtest.Dialled, "")
				time.Sleep(9 * time.Minute)
				r.wantState("blocked")
				if got := r.srv.Count(sshtest.Dialled, ""); got != n {
					t.Errorf("%d dials by itself", got-n)
				}
				if c.name == "no method" || c.name == "batch" {
					return
				}
				if _, err := r.ask(t.Context(), says("secret"), args...); err != nil {
					t.Error(err)
				}
				r.wantState("ready")
			})
		})
	}
}

func TestInterruptAtThePassword(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret", DialDelay: time.Second}, func(t *testing.T, r *rig) {
		got, _ := r.queue([]control.Prompter{fails(control.ErrInterrupted)}, "host", "true")
		wantError(t, (<-got[0]).err, control.Refused, "interrupted at the prompt")
		got, _ = r.queue([]control.Prompter{fails(control.ErrInterrupted), fails(errors.New("gone")), says("secret")}, "host", "true")
		wantError(t, (<-got[0]).err, control.Refused)
		for _, ch := range got[1:] {
			if o := <-ch; o.err != nil {
				t.Error(o.err)
			}
		}
	})
}

// Where the key changed and checking is off, nobody is asked for a password.
func TestNoPasswordForAStranger(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
		r.srv.RotateHostKey()
		p := says("secret")
		_, err := r.ask(t.Context(), p, "-o", "StrictHostKeyChecking=no", "host", "true")
		wantError(t, err, control.Refused)
		if p.Times() != 0 || !strings.Contains(p.Told(), "WARNING") {
			t.Errorf("%v; asked %d times, told %q", err, p.Times(), p.Told())
		}
		r.wantLogins(0)
	})
}

func TestBanner(t *testing.T) {
	inBubble(t, sshtest.Options{Banner: "Welcome\n"}, func(t *testing.T, r *rig) {
		p := says("")
		r.ask(t.Context(), p, "host", "true")
		if p.Told() != "Welcome\n" {
			t.Errorf("told %q", p.Told())
		}
		for user, option := range map[string]string{"you": "-q", "they": "-oLogLevel=ERROR"} {
			q := says("")
			r.ask(t.Context(), q, option, user+"@host", "true")
			if q.Told() != "" {
				t.Errorf("%s: told %q", option, q.Told())
			}
		}
	})
}

// The algorithms of the configuration hold, and none in common is an error.
func TestAlgorithms(t *testing.T) {
	inBubble(t, sshtest.Options{Config: ssh.Config{Ciphers: []string{"aes128-ctr"}}}, func(t *testing.T, r *rig) {
		r.run("-c", "aes128-ctr", "host", "true")
		_, err := r.ask(t.Context(), nil, "-c", "aes256-gcm@openssh.com", "host", "true")
		wantError(t, err, control.Refused, "no common algorithm")
	})
}
