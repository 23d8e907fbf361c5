package sshauth

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestKeyring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Keyring
		key := func(name string) decrypted { return decrypted{signer: newKey(t, name).signer(t)} }
		has := func(id fileID) bool { _, ok := r.get(id); return ok }
		a, b := fileID{path: "/a", ino: 1}, fileID{path: "/b", ino: 1}
		r.put(a, key("a"), time.Minute)
		r.put(b, key("b"), Forever)
		r.put(fileID{path: "/c"}, key("c"), 0)
		if !has(a) || !has(b) || has(fileID{path: "/c"}) {
			t.Error("kept otherwise than said")
		}
		time.Sleep(59 * time.Second)
		r.put(a, key("a"), time.Minute) // anew: the first one's end is not its own
		time.Sleep(59 * time.Second)
		if !has(a) {
			t.Error("dropped too early")
		}
		time.Sleep(2 * time.Second)
		if has(a) || !has(b) || len(r.keys) != 1 {
			t.Errorf("after its time: %v %v", has(a), r.keys)
		}
		if other := (fileID{path: "/b", ino: 2}); has(other) || has(b) {
			t.Error("a replaced file's key is still there")
		}
		r.put(b, key("b"), Forever)
		r.Forget()
		if has(b) {
			t.Error("not forgotten")
		}
		var none *Keyring
		none.put(a, key("a"), Forever)
		if _, ok := none.get(a); ok {
			t.Error("nil remembers")
		}
	})
}

// A remembered key is for who names its file, as it was, and for who remembers.
func TestRememberedKey(t *testing.T) {
	k, ring := newKey(t, "k"), &Keyring{}
	path := k.file(t, "pass")
	login := func(edit func(*Config)) (asked int, err error) {
		t.Helper()
		who := &person{answers: []string{"pass"}}
		cfg := usual()
		cfg.IdentityFiles, cfg.Keyring, cfg.Remember, cfg.Ask = []string{path}, ring, Forever, who.ask
		edit(&cfg)
		_, err = (&server{accept: []*key{k}}).login(t, cfg)
		return len(who.asked), err
	}
	for _, tt := range []struct {
		name  string
		edit  func(*Config)
		asked int
		ok    bool
	}{
		{"first", func(*Config) {}, 1, true},
		{"again", func(*Config) {}, 0, true},
		{"background", func(c *Config) { c.Background = true }, 0, true},
		{"remembers nothing", func(c *Config) { c.Remember = 0 }, 1, true},
		{"names it not", func(c *Config) { c.IdentityFiles = nil }, 0, false},
		{"names another", func(c *Config) { c.IdentityFiles = []string{newKey(t, "other").file(t, "")} }, 0, false},
		{"too open", func(c *Config) { os.Chmod(path, 0o644) }, 0, false},
		{"closed again", func(c *Config) { os.Chmod(path, 0o600) }, 0, true},
		{"touched", func(c *Config) { os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)) }, 1, true},
		{"removed", func(c *Config) { os.Rename(path, path+".away") }, 0, false},
		{"put back", func(c *Config) { os.Rename(path+".away", path) }, 0, true},
	} {
		asked, err := login(tt.edit)
		if asked != tt.asked || (err == nil) != tt.ok {
			t.Errorf("%s: asked %d times, %v", tt.name, asked, err)
		}
	}
	if len(ring.keys) != 1 {
		t.Errorf("%d keys", len(ring.keys))
	}
}

// The wrong passphrase is remembered as little as a key that does not fit its
// public half.
func TestNothingWrongIsRemembered(t *testing.T) {
	k, path := oldPEM(t, "right")
	writePublic(t, path+".pub", newKey(t, "other").pub)
	ring := &Keyring{}
	for _, answers := range [][]string{{"wrong", "wrong", "wrong"}, {"right"}} {
		cfg := usual()
		cfg.IdentityFiles, cfg.Keyring, cfg.Remember, cfg.Ask = []string{path}, ring, Forever, (&person{answers: answers}).ask
		if _, err := (&server{accept: []*key{k}}).login(t, cfg); err == nil {
			t.Error("logged in")
		}
	}
	s, ok := ring.get(mustIdentify(t, path))
	if ok && !sameKey(s.signer.PublicKey(), k.pub) {
		t.Errorf("remembers %s", ssh.FingerprintSHA256(s.signer.PublicKey()))
	}
}

func mustIdentify(t testing.TB, path string) fileID {
	t.Helper()
	id, err := identify(path)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
