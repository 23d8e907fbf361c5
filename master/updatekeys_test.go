package master

import (
	"crypto/rand"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/internal/hostkey"
	"muxd/internal/sshtest"
)

const proveRequest = "hostkeys-prove-00@openssh.com"

// prover is a server's side of UpdateHostKeys.
type prover struct {
	keys  []ssh.Signer
	asked int

	silent  bool                                           // never answers
	refuse  bool                                           // answers no
	session []byte                                         // signs for another connection
	sign    func(k ssh.Signer, data []byte) *ssh.Signature // nil: well
}

// answer is for sshtest.Options.Global.
func (v *prover) answer(p *sshtest.Peer, r *ssh.Request) bool {
	if r.Type != proveRequest {
		return false
	}
	v.asked++
	if v.silent {
		return true
	}
	if v.refuse {
		r.Reply(false, nil)
		return true
	}
	session := v.session
	if session == nil {
		session = p.Conn().SessionID()
	}
	var reply []byte
	for _, b := range wireStrings(r.Payload) {
		data := append(wireString(proveRequest), append(wireString(string(session)), wireString(string(b))...)...)
		reply = append(reply, wireString(string(ssh.Marshal(v.signature(b, data))))...)
	}
	r.Reply(true, reply)
	return true
}

func (v *prover) signature(blob, data []byte) *ssh.Signature {
	for _, k := range v.keys {
		if string(k.PublicKey().Marshal()) != string(blob) {
			continue
		}
		if v.sign != nil {
			return v.sign(k, data)
		}
		var s *ssh.Signature
		var err error
		if as, ok := k.(ssh.AlgorithmSigner); ok && k.PublicKey().Type() == ssh.KeyAlgoRSA {
			s, err = as.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA512)
		} else {
			s, err = k.Sign(rand.Reader, data)
		}
		if err == nil {
			return s
		}
	}
	return &ssh.Signature{Format: "none"}
}

func wireString(s string) []byte { return ssh.Marshal(struct{ S string }{s}) }

// wireStrings reads strings to the end.
func wireStrings(data []byte) (all [][]byte) {
	var one struct {
		Text []byte
		Rest []byte `ssh:"rest"`
	}
	for len(data) > 0 && ssh.Unmarshal(data, &one) == nil {
		all, data = append(all, one.Text), one.Rest
	}
	return all
}

// list is the payload that announces keys.
func list(keys ...ssh.PublicKey) []byte {
	var all []byte
	for _, k := range keys {
		all = append(all, wireString(string(k.Marshal()))...)
	}
	return all
}

// announce logs in and lets the server say which keys it has.
func (r *rig) announce(keys []ssh.PublicKey, args ...string) {
	r.t.Helper()
	r.open(args...)
	if _, _, err := r.srv.Last().Request(hostkey.Announcement, false, list(keys...)); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

func TestUpdateHostKeys(t *testing.T) {
	mine, second, third, gone := sshtest.NewKey(), ecdsaKey(t), rsaKey(t), sshtest.NewKey().PublicKey()
	a, b, c := mine.PublicKey(), second.PublicKey(), third.PublicKey()
	ka, kb, kc := authorized(a), authorized(b), authorized(c)
	usual := "host " + ka
	learned := usual + "host " + kb + "host " + kc
	flip := func(k ssh.Signer, data []byte) *ssh.Signature {
		s, _ := k.Sign(rand.Reader, append([]byte("x"), data...))
		return s
	}
	sha1 := func(k ssh.Signer, data []byte) *ssh.Signature {
		s, _ := k.Sign(rand.Reader, data) // of RSA: by SHA-1
		return s
	}
	for _, tt := range []struct {
		name  string
		args  []string
		known string
		edit  func(v *prover)
		offer []ssh.PublicKey // nil: a, b, c
		want  string          // "" for known as it was
		asked int
	}{
		{"learns", nil, usual, nil, nil, learned, 1},
		{"forgets", nil, usual + "host " + authorized(gone), nil, nil, learned, 1},
		{"forgets alone", nil, usual + "host " + kb + "host " + kc, nil, []ssh.PublicKey{a}, usual, 0},
		{"has them all", nil, learned, nil, nil, "", 0},
		{"explicit", []string{"-o", "UpdateHostKeys=yes"}, usual, nil, nil, learned, 1},
		{"no", []string{"-o", "UpdateHostKeys=no"}, usual, nil, nil, "", 0},
		{"ask", []string{"-o", "UpdateHostKeys=ask"}, usual, nil, nil, "", 0},
		{"file by its name", []string{"-o", "UserKnownHostsFile=~/.ssh/known_hosts"}, usual, nil, nil, learned, 1},
		{"own file", []string{"-o", "UserKnownHostsFile=%d/.ssh/known_hosts"}, usual, nil, nil, "", 0},
		{"own file, explicit", []string{"-o", "UserKnownHostsFile=%d/.ssh/known_hosts", "-o", "UpdateHostKeys=yes"}, usual, nil, nil, learned, 1},
		{"verified by DNS", []string{"-o", "VerifyHostKeyDNS=yes"}, usual, nil, nil, "", 0},
		{"by an address", []string{"-o", "CheckHostIP=yes"}, "host,192.0.2.2 " + ka, nil, nil,
			"host,192.0.2.2 " + ka + "host,192.0.2.2 " + kb + "host,192.0.2.2 " + kc, 1},
		{"algorithms", []string{"-o", "HostKeyAlgorithms=ssh-ed25519,rsa-sha2-256"}, usual, nil, nil, usual + "host " + kc, 1},
		{"short RSA", []string{"-o", "RequiredRSASize=3072"}, usual, nil, nil, usual + "host " + kb, 1},
		{"pattern", nil, "ho* " + ka, nil, nil, "", 0},
		{"under another name", nil, usual + "x " + kb, nil, nil, "", 0},
		{"bare, on a port", []string{"-p", "2222"}, usual, nil, nil, "", 0},
		{"alias", []string{"-o", "HostKeyAlias=other", "-p", "2222"}, "other " + ka, nil, nil, "other " + ka + "other " + kb + "other " + kc, 1},
		{"accepted just now, unseen", []string{"-o", "StrictHostKeyChecking=accept-new"}, "", nil, nil, usual, 0},
		{"changed", []string{"-o", "StrictHostKeyChecking=no"}, "host " + kb, nil, nil, "", 0},
		{"a file that cannot be read", []string{"-o", "UserKnownHostsFile=%d/.ssh/known_hosts %d", "-o", "UpdateHostKeys=yes"}, usual, nil, nil, "", 0},
		{"twice the same", nil, usual, nil, []ssh.PublicKey{a, b, b}, "", 0},
		{"nothing", nil, usual, nil, []ssh.PublicKey{}, "", 0},
		{"refused", nil, usual, func(v *prover) { v.refuse = true }, nil, "", 1},
		{"another session", nil, usual, func(v *prover) { v.session = []byte("replayed") }, nil, "", 1},
		{"wrong signature", nil, usual, func(v *prover) { v.sign = flip }, nil, "", 1},
		{"SHA-1", nil, usual, func(v *prover) { v.sign = sha1 }, nil, usual + "host " + kb, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &prover{keys: []ssh.Signer{mine, second, third}}
			if tt.edit != nil {
				tt.edit(v)
			}
			inBubble(t, sshtest.Options{HostKeys: []ssh.Signer{mine}, Global: v.answer}, func(t *testing.T, r *rig) {
				r.write(".ssh/known_hosts", tt.known)
				offer := tt.offer
				if offer == nil {
					offer = []ssh.PublicKey{a, b, c}
				}
				r.announce(offer, append(tt.args, "host", "cat")...)
				want := tt.want
				if want == "" {
					want = tt.known
				}
				if got := r.remembered(); got != want {
					t.Errorf("known_hosts\n%s\nwant\n%s", got, want)
				}
				if v.asked != tt.asked {
					t.Errorf("asked for %d proofs, want %d", v.asked, tt.asked)
				}
				r.wantState("ready")
			})
		})
	}
}

// A person who accepted the key just now trusts it.
func TestUpdateHostKeysAfterAYes(t *testing.T) {
	mine, second := sshtest.NewKey(), ecdsaKey(t)
	v := &prover{keys: []ssh.Signer{mine, second}}
	inBubble(t, sshtest.Options{HostKeys: []ssh.Signer{mine}, Global: v.answer}, func(t *testing.T, r *rig) {
		r.know()
		if _, err := r.ask(t.Context(), says("yes"), "-o", "HashKnownHosts=yes", "host", "cat"); err != nil {
			t.Fatal(err)
		}
		r.srv.Last().Request(hostkey.Announcement, false, list(mine.PublicKey(), second.PublicKey()))
		synctest.Wait()
		if got := r.remembered(); strings.Count(got, "|1|") != 2 || strings.Count(got, "\n") != 2 {
			t.Errorf("remembered\n%s", got)
		}
		r.srv.Last().Request(hostkey.Announcement, false, list(mine.PublicKey())) // once a connection
		synctest.Wait()
		if got := r.remembered(); strings.Count(got, "\n") != 2 {
			t.Errorf("took a second list:\n%s", got)
		}
	})
}

// A proof that is never answered keeps the probes back, so the connection ends
// as a silent one does, and everything that waits with it. The next one asks
// for no proof.
func TestUnansweredProofEndsLikeSilence(t *testing.T) {
	mine, second := sshtest.NewKey(), ecdsaKey(t)
	v := &prover{keys: []ssh.Signer{mine, second}, silent: true}
	inBubble(t, sshtest.Options{HostKeys: []ssh.Signer{mine}, Global: v.answer}, func(t *testing.T, r *rig) {
		r.know(mine.PublicKey())
		args := []string{"-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=2", "host", "cat"}
		keys := []ssh.PublicKey{mine.PublicKey(), second.PublicKey()}
		s := r.open(args...)
		r.srv.Last().Request(hostkey.Announcement, false, list(keys...))
		synctest.Wait()
		// The loop of requests goes on.
		if ok, _, err := r.srv.Last().Request("keepalive@openssh.com", true, nil); ok || err != nil {
			t.Errorf("another request: %v, %v", ok, err)
		}
		began := time.Now()
		if _, err := s.Wait(); err == nil || !strings.Contains(err.Error(), "no answer") {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("ended after %v", took)
		}
		r.announce(keys, args...)
		time.Sleep(time.Hour)
		r.wantState("ready")
		if v.asked != 1 {
			t.Errorf("asked for %d proofs", v.asked)
		}
	})
}
