package master

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"time"

	"muxd/alive"
	"muxd/internal/sshconf"
)

// defaultPersist is how long an idle connection is kept where ControlPersist is
// not set: a coffee break and a meeting.
const defaultPersist = time.Hour

// destination is a resolved host, as one request sees it: two requests for the
// same host differ in what does not touch the connection.
type destination struct {
	name  string // as typed
	user  string
	host  string // to connect to
	port  int
	conf  *sshconf.Config
	key   string       // of the host: equal keys share a connection
	words string       // what was typed, as far as it says which connection is meant
	stamp string       // of the configuration's files
	agent string       // socket of the agent that this request may use; "" is none
	batch bool         // never ask
	via   *destination // jump host, nil for none
	alone string       // not "": a connection that no other request shares

	proxy      string   // ProxyCommand, "" for none
	proxyShell string   // that runs it
	proxyEnv   []string // of the client that asked

	// again resolves the same words once more, after the client has gone; nil for
	// a jump host.
	again    func() (*destination, error)
	asked    time.Time     // when the request was made
	patience time.Duration // how long it waits for its connection; 0: one attempt, < 0: without a bound

	verbose int // how much of what happens to it the request wants to know: -v

	alive         alive.Config  // of the configuration
	aliveOverride *alive.Config // of the command line: holds while the request lives
}

// String implements control.Destination.
func (d *destination) String() string { return d.name }

func (d *destination) addr() string { return net.JoinHostPort(d.host, strconv.Itoa(d.port)) }

func (d *destination) network() string {
	switch d.conf.AddressFamily() {
	case "inet":
		return "tcp4"
	case "inet6":
		return "tcp6"
	}
	return "tcp"
}

// persist is how long an idle connection is kept.
func (d *destination) persist() (after time.Duration, forever bool) {
	if d.alone != "" {
		return 0, false
	}
	switch kind, for_ := d.conf.ControlPersist(); kind {
	case sshconf.PersistUnset:
		return defaultPersist, false
	case sshconf.PersistForever:
		return 0, true
	case sshconf.PersistFor:
		return for_, false
	}
	return 0, false // with the last session
}

func (d *destination) persistText() string {
	after, forever := d.persist()
	switch {
	case forever:
		return "forever"
	case after == 0:
		return "no"
	}
	return after.String()
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
func (d *destination) connectionKey() string {
	h := sha256.New()
	add := func(s string) { fmt.Fprintf(h, "%d:%s,", len(s), s) }
	add(d.alone)
	add(d.user)
	add(d.host)
	add(strconv.Itoa(d.port))
	add(strconv.FormatBool(d.conf.StrictHostKeyChecking() == "no"))
	add(strconv.FormatBool(d.proxy != "" && d.conf.ProxyUseFdpass()))
	// The default agent is the default one, whether it was named or not.
	agent := d.conf.IdentityAgent()
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
	if d.via != nil {
		add(d.via.key)
	}
	for _, k := range keyed {
		values, _ := d.conf.Get(k)
		list(k, values)
	}
	// Files as they are read: their names may depend on the client's
	// environment, and ~ is no other directory than its name in full.
	identities, _ := d.conf.IdentityFiles()
	list("identityfile", paths(identities))
	list("certificatefile", paths(d.conf.CertificateFiles()))
	list("userknownhostsfile", d.conf.UserKnownHostsFiles())
	return hex.EncodeToString(h.Sum(nil))
}

func paths(files []sshconf.File) []string {
	var all []string
	for _, f := range files {
		all = append(all, f.Path)
	}
	return all
}
