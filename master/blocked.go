package master

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"muxd/internal/dest"
	"muxd/internal/sshauth"
	"muxd/internal/sshconf"
	"muxd/internal/x11"
)

// causeEvery is how often a host that is wanted and blocked looks whether what
// blocked it has changed.
const causeEvery = 5 * time.Second

// agentPatience bounds the look into an agent.
const agentPatience = 2 * time.Second

// causes is what can mend a refused login or host key without a request: the
// configuration, the known hosts, the key files, the agent's keys.
type causes struct {
	digest  string    // as it was when the host was blocked; "" until it is known
	looking bool      // a look is under way
	lookAt  time.Time // the next one
}

// block notes what only a person can mend. further says that nobody was asked:
// then the further connections of this host are not to be had either.
func (h *host) block(err error, further bool) {
	h.blocked = err
	h.causes = causes{}
	h.needsPerson = h.needsPerson || further
}

// lookForCause looks every few seconds whether something changed that may have
// mended a blocked host, and then makes one attempt. It looks in a goroutine of
// its own: a home directory may be far away.
func (h *host) lookForCause(a *agenda) {
	c := &h.causes
	if c.looking || !a.at(c.lookAt) {
		return
	}
	c.looking = true
	blocked, d, agents := h.blocked, h.dest, h.agents
	go func() {
		if d.Again != nil {
			if now, err := d.Again(); err == nil {
				d = now
			}
		}
		digest := h.m.causes(h.m.withAgent(h.ctx, d, agents))
		h.post(func() { h.looked(blocked, digest, d) })
	}()
}

// looked should be posted with what a look saw, and the destination as the
// configuration has it now.
func (h *host) looked(blocked error, digest string, d *dest.Destination) {
	c := &h.causes
	c.looking, c.lookAt = false, time.Now().Add(causeEvery)
	switch {
	case h.blocked != blocked: //nolint:errorlint // this very error, and no other like it
	case c.digest == "":
		c.digest = digest
	case c.digest != digest:
		h.log.Info("what blocked the host has changed, trying once")
		if d.Key != h.key { // the words lead to another host now, which is wanted as this one was
			go h.m.inherit(h, d)
			h.dismiss()
			return
		}
		h.dest = d
		h.blocked, h.needsPerson = nil, false
		h.backoff.Reset(time.Now(), 0, false)
	}
}

// inherit makes d's host wanted because old was, whose place it takes.
func (m *Master) inherit(old *host, d *dest.Destination) {
	h, err := m.host(d)
	if err != nil {
		return
	}
	defer m.unuse(h)
	h.log.Info("takes the place of a host whose configuration changed", "was", old.name())
	h.call(func() {
		h.used = time.Now()
		h.meetAgent(d.Agent)
	})
}

// causes is a digest of all that a login depends on and that a person may have
// changed since.
func (m *Master) causes(d *dest.Destination) string {
	sum := sha256.New()
	io.WriteString(sum, d.Stamp)
	files := append([]string{}, d.Conf.UserKnownHostsFiles()...)
	files = append(files, d.Conf.GlobalKnownHostsFiles()...)
	identities, _ := d.Conf.IdentityFiles()
	files = append(files, dest.Paths(identities)...)
	files = append(files, dest.Paths(d.Conf.CertificateFiles())...)
	for _, f := range files {
		addFile(sum, f)
	}
	if d.Agent != "" {
		m.addAgent(sum, d.Agent)
	}
	if d.Via != nil {
		io.WriteString(sum, m.causes(d.Via))
		// A jump host that needs a person to log in may be there by now.
		hop := m.lookup(d.Via)
		fmt.Fprintf(sum, "%v", hop != nil && hop.State() == Ready)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// addFile adds what changes when a file is written or replaced.
func addFile(sum io.Writer, path string) {
	st, err := os.Stat(path)
	if err != nil {
		fmt.Fprintf(sum, "%q none\n", path)
		return
	}
	fmt.Fprintf(sum, "%q %d %d %v\n", path, st.Size(), st.ModTime().UnixNano(), st.Mode())
}

// addAgent adds the public keys that an agent has. Listing them asks nobody.
func (m *Master) addAgent(sum io.Writer, socket string) {
	keys, err := sshauth.AgentKeys(m.ctx, m.dialAgent, socket, agentPatience)
	fmt.Fprintf(sum, "agent %v\n", err != nil)
	for _, k := range keys {
		sum.Write(k)
	}
}

func (m *Master) dialAgent(ctx context.Context, socket string) (net.Conn, error) {
	if m.cfg.DialAgent != nil {
		return m.cfg.DialAgent(ctx, socket)
	}
	return new(net.Dialer).DialContext(ctx, "unix", socket)
}

func (m *Master) dialDisplay(ctx context.Context, d x11.Display) (net.Conn, error) {
	if m.cfg.DialDisplay != nil {
		return m.cfg.DialDisplay(ctx, d.String())
	}
	return d.Dial(ctx)
}

// withAgent is d with the newest of the agents that lives, where the
// configuration leaves the agent to the environment.
func (m *Master) withAgent(ctx context.Context, d *dest.Destination, sockets []string) *dest.Destination {
	own := *d
	if d.Via != nil {
		own.Via = m.withAgent(ctx, d.Via, sockets)
	}
	if d.Conf.IdentityAgent().Kind != sshconf.AgentDefault {
		return &own
	}
	own.Agent = ""
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	for _, s := range sockets {
		if c, err := m.dialAgent(ctx, s); err == nil {
			c.Close()
			own.Agent = s
			break
		}
	}
	return &own
}
