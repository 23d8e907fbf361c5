package sshauth

import (
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Keyring keeps decrypted keys between logins, as an agent would, so that a
// connection can be made again without asking. It holds keys only: never a
// passphrase, a password or a one-time code. A key is given only to a login
// that names its file, and only while that file is what it was. The zero value
// and nil are empty; nil stays so.
type Keyring struct {
	mu   sync.Mutex
	keys map[string]*kept // guarded by mu; by path
}

// decrypted is a private key: as x/crypto signs with it, and as agents take it.
type decrypted struct {
	signer ssh.Signer
	raw    any
}

type kept struct {
	id    fileID
	key   decrypted
	timer *time.Timer // nil: no end
	until time.Time   // by the wall clock: timers may stand still while the machine sleeps
}

func (k *kept) over() bool { return k.timer != nil && !time.Now().Round(0).Before(k.until) }

// get returns the key of a file.
func (r *Keyring) get(id fileID) (decrypted, bool) {
	if r == nil {
		return decrypted{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.keys[id.path]
	if k == nil {
		return decrypted{}, false
	}
	if k.id != id || k.over() { // a file that is another now has no use for the key
		r.drop(k)
		return decrypted{}, false
	}
	return k.key, true
}

// put keeps the key of a file for a time.
func (r *Keyring) put(id fileID, key decrypted, remember time.Duration) {
	if r == nil || remember <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.keys[id.path]; old != nil {
		r.drop(old)
	}
	k := &kept{id: id, key: key}
	if remember != Forever {
		k.until = time.Now().Round(0).Add(remember)
		k.timer = time.AfterFunc(remember, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.keys[id.path] == k {
				delete(r.keys, id.path)
			}
		})
	}
	if r.keys == nil {
		r.keys = map[string]*kept{}
	}
	r.keys[id.path] = k
}

// Forget drops every key.
func (r *Keyring) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.keys {
		r.drop(k)
	}
}

// drop is called with mu held.
func (r *Keyring) drop(k *kept) {
	if k.timer != nil {
		k.timer.Stop()
	}
	delete(r.keys, k.id.path)
}
