package master

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
)

func ecdsaKey(t *testing.T) ssh.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer(t, k)
}

func rsaKey(t *testing.T) ssh.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signer(t, k)
}

func signer(t *testing.T, k any) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func contained(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// destination resolves a command line to where it leads.
func (r *rig) destination(args ...string) *dest.Destination {
	r.t.Helper()
	return r.request(args...).Dest.(*dest.Destination)
}

func authorized(k ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(k)) }

func (r *rig) remembered() string {
	b, err := os.ReadFile(r.knownHosts())
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

func TestUnknownHostKey(t *testing.T) {
	const print = "the fingerprint"
	for _, c := range []struct {
		name, strict string
		answers      []string // nil: nobody is there
		prompts      int
		ok           bool
		part         string // of the error
	}{
		{"yes", "yes", []string{"yes"}, 0, false, "no ED25519 key is known for host and StrictHostKeyChecking is yes"},
		{"accept-new", "accept-new", nil, 0, true, ""},
		{"no", "no", nil, 0, true, ""},
		{"off", "off", nil, 0, true, ""},
		{"ask, yes", "ask", []string{"yes"}, 1, true, ""},
		{"ask, YES with blanks", "ask", []string{" YES "}, 1, true, ""},
		{"ask, fingerprint", "ask", []string{print}, 1, true, ""},
		{"ask, no", "ask", []string{"no"}, 1, false, "host key verification failed"},
		{"ask, nothing", "ask", []string{""}, 1, false, "host key verification failed"},
		{"ask, wrong answers", "ask", []string{"y", "SHA256:wrong", "yes"}, 3, true, ""},
		{"ask, wrong answers, then no", "ask", []string{"maybe", "no"}, 2, false, "host key verification failed"},
		{"ask, nobody", "ask", nil, 0, false, "nobody could be asked"},
		{"unset is ask", "", []string{"yes"}, 1, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				r.know()
				key := r.srv.HostKey()
				var p control.Prompter
				var who *person
				if c.answers != nil {
					words := append([]string(nil), c.answers...)
					for i, w := range words {
						words[i] = strings.ReplaceAll(w, print, ssh.FingerprintSHA256(key))
					}
					who = says(words...)
					p = who
				}
				args := []string{"host", "true"}
				if c.strict != "" {
					args = append([]string{"-o", "StrictHostKeyChecking=" + c.strict}, args...)
				}
				_, err := r.ask(t.Context(), p, args...)
				if c.ok != (err == nil) {
					t.Fatalf("%v", err)
				}
				if !c.ok {
					wantError(t, err, control.Refused, "host: ", c.part)
				}
				want := ""
				if c.ok {
					want = "host " + string(ssh.MarshalAuthorizedKey(key))
				}
				if got := r.remembered(); got != want {
					t.Errorf("known_hosts %q, want %q", got, want)
				}
				if who != nil && who.Times() != c.prompts {
					t.Errorf("asked %d times, want %d", who.Times(), c.prompts)
				}
			})
		})
	}
}

func TestTheQuestionIsSsh(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.know()
		p := says("what?", "yes")
		if _, err := r.ask(t.Context(), p, "-p", "2222", "you@host", "true"); err != nil {
			t.Fatal(err)
		}
		qs := p.Asked()
		want := "The authenticity of host '[host]:2222 ([192.0.2.2]:2222)' can't be established.\nED25519 key fingerprint is: " +
			ssh.FingerprintSHA256(r.srv.HostKey()) + "\nThis key is not known by any other names.\nAre you sure you want to continue connecting (yes/no/[fingerprint])? "
		if qs[0].Text != want || qs[0].Kind != control.PromptConfirm || qs[0].Host != "you@host" || qs[0].Remote {
			t.Errorf("%+v", qs[0])
		}
		if qs[1].Text != "Please type 'yes', 'no' or the fingerprint: " {
			t.Errorf("%+v", qs[1])
		}
		if got := p.Told(); got != "Warning: Permanently added '[host]:2222' (ED25519) to the list of known hosts." {
			t.Errorf("told %q", got)
		}
	})
}

func TestAcceptNewIsWrittenOnceForFifty(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.know()
		for i, o := range r.many(persons(50), "-o", "StrictHostKeyChecking=accept-new", "host", "true") {
			if o.err != nil {
				t.Errorf("%d: %v", i, o.err)
			}
		}
		if n := strings.Count(r.remembered(), "\n"); n != 1 {
			t.Errorf("%d lines", n)
		}
		r.wantLogins(1)
	})
}

func TestChangedHostKey(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		old, now := r.srv.HostKey(), r.srv.RotateHostKey()
		r.write(".ssh/known_hosts", "# one\nother "+string(ssh.MarshalAuthorizedKey(now))+"host "+string(ssh.MarshalAuthorizedKey(old)))
		for _, strict := range []string{"yes", "ask", "accept-new"} {
			_, err := r.ask(t.Context(), says("yes"), "-o", "StrictHostKeyChecking="+strict, "host", "true")
			wantError(t, err, control.Refused, "host: host key verification failed: the host key has changed",
				fmt.Sprintf("%s:3 lists ED25519 %s", r.knownHosts(), ssh.FingerprintSHA256(old)),
				"the server presents ED25519 "+ssh.FingerprintSHA256(now),
				"ssh-keygen -f "+r.knownHosts()+" -R 'host'")
			r.wantState("blocked")
		}
		before := r.remembered()
		p := says("yes")
		if _, err := r.ask(t.Context(), p, "-o", "StrictHostKeyChecking=no", "host", "true"); err != nil {
			t.Error(err)
		}
		if got := p.Told(); !strings.Contains(got, "WARNING") || !strings.Contains(got, ssh.FingerprintSHA256(now)) || p.Times() != 0 {
			t.Errorf("told %q, asked %d times", got, p.Times())
		}
		if r.remembered() != before {
			t.Errorf("known_hosts became %q", r.remembered())
		}
	})
}

func TestChangedToAnotherType(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		known := ecdsaKey(t)
		r.know(known.PublicKey())
		_, err := r.ask(t.Context(), says("yes"), "host", "true")
		wantError(t, err, control.Refused, "the host key has changed", "lists ECDSA "+ssh.FingerprintSHA256(known.PublicKey()), "presents ED25519")
	})
}

func TestRevokedHostKey(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		key := string(ssh.MarshalAuthorizedKey(r.srv.HostKey()))
		r.write(".ssh/known_hosts", "host "+key+"@revoked * "+key)
		for _, strict := range []string{"yes", "ask", "accept-new"} {
			_, err := r.ask(t.Context(), says("yes"), "-o", "StrictHostKeyChecking="+strict, "host", "true")
			wantError(t, err, control.Refused, "host key verification failed", "marked as revoked at "+r.knownHosts()+":2")
			r.wantLogins(0)
			r.wantState("blocked")
		}
		p := says("yes") // as ssh, which goes on as with a changed key
		s, err := r.ask(t.Context(), p, "-o", "StrictHostKeyChecking=no", "host", "true")
		if err != nil || !s.(*sshlink.Session).Link().Distrusted {
			t.Errorf("without checking: %v", err)
		}
		if got := p.Told(); !strings.Contains(got, "WARNING: ED25519 ") || !strings.Contains(got, "revoked") || p.Times() != 0 {
			t.Errorf("told %q, asked %d times", got, p.Times())
		}
	})
}

// Whoever may be at the other end gets no password: neither is asked for, and
// a round of keyboard-interactive without questions is not played.
func TestDistrustedServerGetsNoPassword(t *testing.T) {
	for name, opts := range map[string]sshtest.Options{
		"password":             {Password: "secret"},
		"keyboard-interactive": {Interactive: []sshtest.Round{{Questions: []sshtest.Question{{Text: "Code: ", Answer: "secret"}}}}},
		"no questions":         {Interactive: []sshtest.Round{{}}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, opts, func(t *testing.T, r *rig) {
				r.know(sshtest.NewKey().PublicKey())
				p := says("secret")
				_, err := r.ask(t.Context(), p, "-o", "StrictHostKeyChecking=no", "host", "true")
				wantError(t, err, control.Refused, "host: ")
				if p.Times() != 0 || r.srv.Logins() != 0 {
					t.Errorf("asked %d times, %d logins", p.Times(), r.srv.Logins())
				}
			})
		})
	}
	key := sshtest.NewKey()
	inBubble(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}}, func(t *testing.T, r *rig) {
		r.know(sshtest.NewKey().PublicKey())
		file := key.WriteFile(t, r.home, "id", "")
		s := r.open("-o", "StrictHostKeyChecking=no", "-i", file, "host", "true")
		if !s.Link().Distrusted {
			t.Error("the link is not marked")
		}
		wantNone := []string{"-o", "StrictHostKeyChecking=no", "-o", "ExitOnForwardFailure=yes", "-i", file, "-p", "2222", "host", "true"}
		r.write(".ssh/known_hosts", "[host]:2222 "+string(ssh.MarshalAuthorizedKey(sshtest.NewKey().PublicKey())))
		_, err := r.ask(t.Context(), nil, wantNone...)
		wantError(t, err, control.Refused, "ExitOnForwardFailure")
	})
}

// A server with keys of several types is asked for the one that is known, or
// it would look changed.
func TestHostKeyAlgorithmsFollowTheKnown(t *testing.T) {
	e, d, s := sshtest.NewKey(), ecdsaKey(t), rsaKey(t)
	all := []ssh.Signer{e, d, s}
	for _, known := range all {
		t.Run(known.PublicKey().Type(), func(t *testing.T) {
			inBubble(t, sshtest.Options{HostKeys: all}, func(t *testing.T, r *rig) {
				r.know(known.PublicKey())
				s := r.open("-o", "StrictHostKeyChecking=yes", "host", "true")
				if string(s.Link().HostKey) != string(known.PublicKey().Marshal()) {
					t.Error("logged in with another key")
				}
			})
		})
	}
}

// The question names where else the key is known, and the md5 fingerprint is
// for those who compare with an old list.
func TestTheQuestionNamesOtherNames(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		key := string(ssh.MarshalAuthorizedKey(r.srv.HostKey()))
		text := "other,192.0.2.7 " + key + "@revoked no " + string(ssh.MarshalAuthorizedKey(sshtest.NewKey().PublicKey()))
		for range 9 {
			text += xknownhosts.HashHostname("x") + " " + key
		}
		r.write(".ssh/known_hosts", text)
		md5 := "MD5:" + ssh.FingerprintLegacyMD5(r.srv.HostKey())
		p := says(md5)
		if _, err := r.ask(t.Context(), p, "-o", "FingerprintHash=md5", "host", "true"); err != nil {
			t.Fatal(err)
		}
		want := "The authenticity of host 'host (192.0.2.2)' can't be established.\nED25519 key fingerprint is: " + md5 +
			"\nThis host key is known by the following other names/addresses:\n    ~/.ssh/known_hosts:1: other,192.0.2.7\n"
		for line := 3; line < 10; line++ {
			want += fmt.Sprintf("    ~/.ssh/known_hosts:%d: [hashed name]\n", line)
		}
		want += "    (2 additional names omitted)\nAre you sure you want to continue connecting (yes/no/[fingerprint])? "
		if got := p.Asked()[0].Text; got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	})
}

func TestVisualHostKey(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		p := says("yes")
		if _, err := r.ask(t.Context(), p, "-o", "VisualHostKey=yes", "host", "true"); err != nil {
			t.Fatal(err)
		}
		if got := p.Told(); !strings.HasPrefix(got, "Host key fingerprint is: "+ssh.FingerprintSHA256(r.srv.HostKey())+"\n+--[ED25519 256]--+\n|") {
			t.Errorf("told %q", got)
		}
		r.again()
		r.know()
		r.srv.RotateHostKey()
		if _, err := r.ask(t.Context(), p, "-o", "VisualHostKey=yes", "host", "true"); err != nil {
			t.Fatal(err)
		}
		if got := p.Asked()[0].Text; !contained(got, "\n+--[ED25519 256]--+\n", "+----[SHA256]-----+\nThis key is not known by any other names.\n") {
			t.Errorf("asked %q", got)
		}
	})
}

// Without a file to write it down no key is new, as in ssh; and -q is silent.
func TestNowhereToRemember(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.know()
		p := says("yes")
		_, err := r.ask(t.Context(), p, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=none", "host", "true")
		wantError(t, err, control.Refused, "no file to remember one in")
		if _, err := r.ask(t.Context(), p, "-q", "-o", "StrictHostKeyChecking=accept-new", "host", "true"); err != nil || p.Told() != "" {
			t.Errorf("%v, told %q", err, p.Told())
		}
	})
}

// A certificate that nobody here vouches for is judged as its plain key, and
// written down as that; unless HostKeyAlgorithms wants certificates alone.
func TestCertificateOfAnUnknownAuthority(t *testing.T) {
	host, ca := sshtest.NewKey(), sshtest.NewKey()
	cert := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewCertSigner(cert, host)
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, sshtest.Options{HostKeys: []ssh.Signer{s}}, func(t *testing.T, r *rig) {
		r.know()
		certs := []string{"-o", "StrictHostKeyChecking=accept-new", "-o", "HostKeyAlgorithms=ssh-ed25519-cert-v01@openssh.com", "host", "true"}
		_, err := r.ask(t.Context(), nil, certs...)
		wantError(t, err, control.Refused, "HostKeyAlgorithms permits no ED25519 key", "no authority")
		r.open("-o", "StrictHostKeyChecking=accept-new", "host", "true")
		if got := r.remembered(); got != "host "+string(ssh.MarshalAuthorizedKey(host.PublicKey())) {
			t.Errorf("remembered %q", got)
		}
		r.write(".ssh/known_hosts", "@cert-authority * "+string(ssh.MarshalAuthorizedKey(ca.PublicKey())))
		if _, err := r.ask(t.Context(), nil, certs...); err != nil {
			t.Error(err)
		}
		_, err = r.ask(t.Context(), nil, "-o", "StrictHostKeyChecking=yes", "-o", "CASignatureAlgorithms=rsa-sha2-512", "you@host", "true")
		wantError(t, err, control.Refused, "StrictHostKeyChecking is yes; the certificate is signed by ssh-ed25519, which CASignatureAlgorithms leaves out")
	})
}

func TestHostKeyAlias(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		key := r.srv.HostKey()
		r.write(".ssh/known_hosts", "alias "+string(ssh.MarshalAuthorizedKey(key)))
		r.open("-o", "StrictHostKeyChecking=yes", "-o", "HostKeyAlias=alias", "-p", "2222", "host", "true")
		r.know()
		r.open("-o", "StrictHostKeyChecking=accept-new", "-o", "HostKeyAlias=another", "-p", "2222", "host", "true")
		if got := r.remembered(); !strings.HasPrefix(got, "another ssh-ed25519 ") {
			t.Errorf("remembered %q", got) // an alias has no port
		}
	})
}

// A file that cannot be written costs a notice, not the login.
func TestAcceptedKeyThatCannotBeWritten(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.know()
		p := says("yes")
		file := filepath.Join(r.write("plain", ""), "known_hosts")
		if _, err := r.ask(t.Context(), p, "-o", "UserKnownHostsFile="+file, "host", "true"); err != nil {
			t.Fatal(err)
		}
		if got := p.Told(); !strings.HasPrefix(got, "muxc: host: the host key was not remembered: ") {
			t.Errorf("told %q", got)
		}
	})
}

// twoFaced is a host key that becomes another one.
type twoFaced struct {
	a, b ssh.Signer
	now  *atomic.Bool // b
}

func (k twoFaced) face() ssh.Signer {
	if k.now.Load() {
		return k.b
	}
	return k.a
}
func (k twoFaced) PublicKey() ssh.PublicKey { return k.face().PublicKey() }
func (k twoFaced) Sign(r io.Reader, data []byte) (*ssh.Signature, error) {
	return k.face().Sign(r, data)
}

// At a rekey nobody is asked, and nothing but the key of the login will do,
// even one that known_hosts lists as well.
func TestRekeyWithAnotherHostKeyEndsTheLink(t *testing.T) {
	for _, change := range []bool{false, true} {
		k := twoFaced{sshtest.NewKey(), sshtest.NewKey(), new(atomic.Bool)}
		opts := sshtest.Options{HostKeys: []ssh.Signer{k}, Config: ssh.Config{RekeyThreshold: 64 << 10}}
		inBubble(t, opts, func(t *testing.T, r *rig) {
			r.know(k.a.PublicKey(), k.b.PublicKey())
			s := r.open("-o", "StrictHostKeyChecking=no", "host", "cat")
			synctest.Wait()
			k.now.Store(change)
			go func() {
				// The server goes on while it begins a rekey, so much more than
				// the threshold may pass.
				for n := 0; n < 16<<20 && (change || n < 256<<10); n += 64 << 10 {
					s.Write(make([]byte, 64<<10))
				}
				s.CloseWrite()
			}()
			out, exit, err := finish(s)
			if !change {
				if len(out) != 256<<10 || err != nil || exit.Code != 0 {
					t.Errorf("an ordinary rekey: %d bytes, %v, %v", len(out), exit, err)
				}
				return
			}
			wantError(t, err, control.Running, "the host key changed within the connection")
			if synctest.Wait(); s.Link().Err() == nil {
				t.Error("the connection lives")
			}
		})
	}
}
