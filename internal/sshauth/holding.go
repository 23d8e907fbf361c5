package sshauth

import (
	"context"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// Forever is a Remember for as long as this process lives.
const Forever time.Duration = 1<<63 - 1

// fileID tells a key file from what stands in its place later. What was
// decrypted is another's as soon as anything of it differs.
type fileID struct {
	path     string
	dev, ino uint64
	size     int64
	modified time.Time
}

func identify(path string) (fileID, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileID{}, cause(err)
	}
	return idOf(path, info), nil
}

func idOf(path string, info fs.FileInfo) fileID {
	id := fileID{path: path, size: info.Size(), modified: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		id.dev, id.ino = uint64(st.Dev), st.Ino
	}
	return id
}

// holding is what the private agent holds of one file or provider.
type holding struct {
	id    fileID
	keys  []ssh.PublicKey
	token bool
	keep  bool      // for other logins too
	until time.Time // zero: no end; by the wall clock, as the agent counts a machine's sleep
	users int       // guarded by the agent's mu: logins that may sign with it
}

// newHolding notes what was loaded just now, with the arguments of lifetime.
func newHolding(id fileID, keys []ssh.PublicKey, remember time.Duration) *holding {
	h := &holding{id: id, keys: keys, keep: remember > 0}
	if remember != Forever {
		h.until = time.Now().Round(0).Add(agentLife(remember))
	}
	return h
}

// useless is what is left of the life of a key that is loaded anew instead of
// being used: the login is still to come to its signature.
const useless = 10 * time.Second

// holds returns what the agent has of a file, for a login that takes what others
// left, or of a provider. That one is shared in any case: it cannot be loaded
// twice, and each wrong PIN wears the card out.
func (p *PrivateAgent) holds(id fileID) *holding {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.held[id.path]
	if h == nil || h.id != id || !h.keep && !h.token || !h.until.IsZero() && time.Until(h.until) < useless {
		return nil
	}
	h.users++
	return h
}

// remember is for how long to load a file that a login wants to be kept for a
// time. One that keeps nothing, and so had to ask, does not take away what
// another login keeps, nor lengthen its life.
func (p *PrivateAgent) remember(id fileID, want time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.held[id.path]
	switch {
	case want > 0 || old == nil || old.id != id || !old.keep:
		return want
	case old.until.IsZero():
		return Forever
	}
	return max(0, time.Until(old.until)-useless)
}

// hold notes what a login had loaded.
func (p *PrivateAgent) hold(h *holding) *holding {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.held[h.id.path]; old != nil && old.id == h.id {
		h.users = old.users
	}
	h.users++
	p.held[h.id.path] = h
	return h
}

// forgetTime bounds taking a key away again. A key whose agent does not answer
// in that time goes when its life ends.
const forgetTime = 2 * time.Second

// release is the end of a login that used h. The last of those that were not
// to keep it has the agent forget it.
func (p *PrivateAgent) release(h *holding) {
	p.mu.Lock()
	if now := p.held[h.id.path]; now != nil && now.id == h.id {
		now.users--
	}
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), forgetTime)
	defer cancel()
	if !h.token {
		p.forget(ctx, h)
		return
	}
	// Not while another login loads it: the agent refuses to have it twice.
	select {
	case p.card <- struct{}{}:
		p.forget(ctx, h)
		<-p.card
	case <-ctx.Done():
	}
}

// forget has the agent drop what no login uses and none keeps.
func (p *PrivateAgent) forget(ctx context.Context, h *holding) {
	p.mu.Lock()
	now, proc := p.held[h.id.path], p.proc
	unused := now != nil && now.id == h.id && now.users <= 0 && !now.keep && proc != nil && p.loading[h.id.path] == 0
	if unused {
		delete(p.held, h.id.path)
	}
	if unused && !h.token { // with mu held, so that nobody loads it meanwhile
		drop(ctx, proc.socket, h.keys)
	}
	p.mu.Unlock()
	if unused && h.token {
		p.sshAdd(ctx, proc, nil, "-q", "-e", h.id.path)
	}
}

func drop(ctx context.Context, socket string, keys []ssh.PublicKey) {
	a, err := dialAgent(ctx, socket)
	if err != nil {
		return
	}
	defer a.close()
	for _, k := range keys {
		a.within(forgetTime, func() error { return a.client.Remove(k) })
	}
}

// load says that a file is being loaded, until the function that it returns is
// called: another login that ends must not take the key away.
func (p *PrivateAgent) load(path string) (done func()) {
	count := func(n int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.loading[path] += n; p.loading[path] == 0 {
			delete(p.loading, path)
		}
	}
	count(1)
	return func() { count(-1) }
}
