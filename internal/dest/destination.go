package dest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"time"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/sshconf"
)

// DefaultPersist is how long an idle connection is kept where ControlPersist is
// not set: a coffee break and a meeting.
const DefaultPersist = time.Hour

// DialTimeout bounds the connect to one address, and the lookup before it,
// where ConnectTimeout is not set. The kernel's own limit is over two
// minutes, which a person takes for a hang.
const DialTimeout = 15 * time.Second

// Destination is a resolved host, as one request sees it: two requests for the
// same host differ in what does not touch the connection. It is a
// control.Destination. Nobody changes one that others have in hand; whoever
// wants it otherwise makes a copy.
type Destination struct {
	Name  string // as typed
	User  string
	Host  string // to connect to
	Port  int
	Conf  *sshconf.Config
	Key   string       // of the host: equal keys share a connection
	Words string       // what was typed, as far as it says which connection is meant
	Stamp string       // of the configuration's files
	Agent string       // socket of the agent that this request may use; "" is none
	Batch bool         // never ask
	Via   *Destination // jump host, nil for none
	Alone string       // not "": a connection that no other request shares

	Proxy      string   // ProxyCommand, "" for none
	ProxyShell string   // that runs it
	ProxyEnv   []string // of the client that asked

	// Again resolves the same words once more, after the client has gone; nil for
	// a jump host.
	Again    func() (*Destination, error)
	Asked    time.Time     // when the request was made
	Patience time.Duration // how long it waits for its connection; 0: one attempt, < 0: without a bound

	Verbose int // how much of what happens to it the request wants to know: -v

	Alive         alive.Config  // of the configuration
	AliveOverride *alive.Config // of the command line: holds while the request lives
}

// String implements control.Destination.
func (d *Destination) String() string { return d.Name }

// For implements control.Destination. The agent counts where IdentityAgent does
// not name one.
func (d *Destination) For(agent string) control.Destination {
	own := *d
	own.Asked = time.Now()
	if d.Conf.IdentityAgent().Kind == sshconf.AgentDefault {
		own.Agent = agent
	}
	return &own
}

// Same implements control.Destination.
func (d *Destination) Same(other control.Destination) bool {
	o, ok := other.(*Destination)
	return ok && o.Key == d.Key
}

// Addr is the host and the port to connect to.
func (d *Destination) Addr() string { return net.JoinHostPort(d.Host, strconv.Itoa(d.Port)) }

// Network is tcp, or what AddressFamily makes of it: tcp4 or tcp6.
func (d *Destination) Network() string {
	switch d.Conf.AddressFamily() {
	case "inet":
		return "tcp4"
	case "inet6":
		return "tcp6"
	}
	return "tcp"
}

// Persist is how long an idle connection is kept (ControlPersist): not at all
// if it is nobody else's.
func (d *Destination) Persist() (after time.Duration, forever bool) {
	if d.Alone != "" {
		return 0, false
	}
	switch kind, for_ := d.Conf.ControlPersist(); kind {
	case sshconf.PersistUnset:
		return DefaultPersist, false
	case sshconf.PersistForever:
		return 0, true
	case sshconf.PersistFor:
		return for_, false
	}
	return 0, false // with the last session
}

// PersistText is Persist for people.
func (d *Destination) PersistText() string {
	after, forever := d.Persist()
	switch {
	case forever:
		return "forever"
	case after == 0:
		return "no"
	}
	return after.String()
}

// Pinned reports a destination whose connection is wanted whether it is used or
// not.
func (d *Destination) Pinned() bool { return d.Alone == "" && d.Conf.Pinned() == sshconf.Yes }

// ConnectLimit is ConnectTimeout, or what holds where it is not set.
func (d *Destination) ConnectLimit(unset time.Duration) time.Duration {
	if t := d.Conf.ConnectTimeout(); t > 0 {
		return t
	}
	return unset
}

// keyed are the configuration's words that change the connection, who it logs
// in as, or what the server had to prove. A request that differs in one of them
// must not travel on the other's connection; one that differs in anything else
// must not cost a second login. The value of SSH_AUTH_SOCK is not among them:
// every terminal has another one.
var keyed = []string{
	"proxyjump", "proxycommand", "bindaddress", "bindinterface", "addressfamily",
	"identitiesonly", "pkcs11provider",
	"preferredauthentications", "pubkeyauthentication", "passwordauthentication", "kbdinteractiveauthentication",
	"hostkeyalias", "globalknownhostsfile", "revokedhostkeys", "knownhostscommand", "checkhostip", "requiredrsasize",
	"nohostauthenticationforlocalhost",
	"hostkeyalgorithms", "kexalgorithms", "ciphers", "macs", "pubkeyacceptedalgorithms", "casignaturealgorithms",
}

// connectionKey names the host that the destination belongs to: destinations
// with the same key share connections.
// Checking a host key less strictly is another connection than checking it,
// because nobody vouches for the server at its end.
func (d *Destination) connectionKey() string {
	h := sha256.New()
	add := func(s string) { fmt.Fprintf(h, "%d:%s,", len(s), s) }
	add(d.Alone)
	add(d.User)
	add(d.Host)
	add(strconv.Itoa(d.Port))
	add(strconv.FormatBool(d.Conf.StrictHostKeyChecking() == "no"))
	add(strconv.FormatBool(d.Proxy != "" && d.Conf.ProxyUseFdpass()))
	// The default agent is the default one, whether it was named or not.
	agent := d.Conf.IdentityAgent()
	if add(strconv.Itoa(int(agent.Kind))); agent.Kind != sshconf.AgentDefault {
		add(agent.Configured)
	}
	list := func(name string, values []string) {
		add(name)
		add(strconv.Itoa(len(values)))
		for _, v := range values {
			add(v)
		}
	}
	if d.Via != nil {
		add(d.Via.Key)
	}
	for _, k := range keyed {
		values, _ := d.Conf.Get(k)
		list(k, values)
	}
	// Files as they are read: their names may depend on the client's
	// environment, and ~ is no other directory than its name in full.
	identities, _ := d.Conf.IdentityFiles()
	list("identityfile", Paths(identities))
	list("certificatefile", Paths(d.Conf.CertificateFiles()))
	list("userknownhostsfile", d.Conf.UserKnownHostsFiles())
	return hex.EncodeToString(h.Sum(nil))
}

// Paths are the names of the files, in their order.
func Paths(files []sshconf.File) []string {
	var all []string
	for _, f := range files {
		all = append(all, f.Path)
	}
	return all
}
