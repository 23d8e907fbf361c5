package login

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/firstkex"
	"muxd/internal/hostkey"
	"muxd/internal/sshauth"
	"muxd/internal/sshconf"
)

// attempt is one login: the SSH library's configuration for it, and what was
// learned on the way.
type attempt struct {
	Config
	p     control.Prompter // stops the deadline's clock while it asks
	check *hostkey.Check
	login *sshauth.Login
	first *firstkex.Observer // of the connection
	said  int                // owned by the login's callbacks, which come one at a time; of mostSaid
	calls *calls
}

// calls are those by which the SSH library asks during a login. It keeps them for
// as long as the connection lives, and with them would go all that the login had:
// keys, and the client that waited for it.
type calls struct {
	a       *attempt         // nil once the login is over, when none comes any more
	library ssh.ConnMetadata // the library's own connection, which it shows with its first question; nil before
}

func (c *calls) method(ctx *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	c.library = ctx.Metadata
	return c.a.method(ctx)
}

func (c *calls) banner(text string) error {
	if text != "" && c.a.Dest.Conf.Informs() {
		c.a.says(text)
	}
	return nil
}

const (
	// mostSaid is what a server may have people told before they are logged in, in
	// bytes: ten times the longest banner that is meant to be read. The SSH library
	// passes banners on for as long as they come.
	mostSaid = 64 << 10
	// saidLeast is what a text counts as at least, so that there is an end of short
	// ones, too.
	saidLeast = 80
)

// says passes on what the server says, until it was enough.
func (a *attempt) says(text string) {
	if a.said < mostSaid {
		text = control.Clean(text) // who waits keeps it, and it may be the library's 256 KiB
		a.said += max(len(text), saidLeast)
		a.p.Notice(text)
	}
}

func newAttempt(ctx context.Context, c Config, dl *deadline, peer net.Addr) *attempt {
	d := c.Dest
	a := &attempt{Config: c, p: dl.suspend(c.Prompter), first: &firstkex.Observer{}}
	a.calls = &calls{a: a}
	check, notes := hostkey.New(ctx, a.server(peer))
	for _, n := range notes {
		c.Log.Warn("known_hosts", "note", n.String())
	}
	a.check = check
	conf := d.Conf
	cfg := sshauth.Config{
		User: d.User, Host: d.Host,
		IdentitiesOnly: conf.IdentitiesOnly(), AgentSocket: d.Agent, DialAgent: c.DialAgent, Ask: a.ask, Notice: a.says,
		NumberOfPasswordPrompts: conf.NumberOfPasswordPrompts(), Preferred: conf.PreferredAuthentications(),
		Pubkey: conf.PubkeyAuthentication(), Password: conf.PasswordAuthentication(), Keyboard: conf.KbdInteractiveAuthentication(),
		RequiredRSASize: conf.RequiredRSASize(), PKCS11Provider: conf.PKCS11Provider(), SecurityKeyProvider: conf.SecurityKeyProvider(),
		Proof:   a.proof,
		AddKeys: sshauth.AddKeys(conf.AddKeysToAgent()), Remember: keepKeys(conf), Keyring: c.Keyring, Private: c.PrivateAgent,
		Log: debugLog(c.Log, a.p, d), Waiting: dl.hold, Background: c.Background,
	}
	a.watchTouch(&cfg)
	files, defaults := conf.IdentityFiles()
	cfg.IdentitiesDefault = defaults
	for _, f := range files {
		cfg.IdentityFiles = append(cfg.IdentityFiles, f.Path)
	}
	for _, f := range conf.CertificateFiles() {
		cfg.CertificateFiles = append(cfg.CertificateFiles, f.Path)
	}
	if _, set := conf.Get("pubkeyacceptedalgorithms"); set {
		cfg.PubkeyAlgorithms, _ = conf.PubkeyAcceptedAlgorithms(dest.PubkeyAlgorithms, nil)
	}
	a.login = sshauth.New(ctx, cfg)
	return a
}

// keepKeys is for how long a decrypted key serves later logins. Passwords and
// one-time codes are never kept, whatever RememberSecrets says.
func keepKeys(conf *sshconf.Config) time.Duration {
	keep, d := conf.RememberSecrets()
	v, _ := conf.Get("remembersecrets")
	switch {
	case keep == sshconf.No, len(v) > 0 && v[0] == "0":
		return 0
	case d > 0:
		return d
	}
	return sshauth.Forever
}

// ask passes the login's questions on to the person.
func (a *attempt) ask(ctx context.Context, q sshauth.Question) (string, error) {
	if a.check.Distrusted() && q.Kind != sshauth.Passphrase && q.Kind != sshauth.Confirm {
		return "", errors.New("passwords are disabled because the host key changed")
	}
	kind := control.PromptSecret
	switch {
	case q.Kind == sshauth.Confirm:
		kind = control.PromptConfirm
	case q.Echo:
		kind = control.PromptText
	}
	ans, err := a.p.Prompt(ctx, control.Prompt{Kind: kind, Host: q.Host, Text: q.Text, Remote: q.Kind == sshauth.KeyboardInteractive})
	if errors.Is(err, control.ErrNobody) {
		err = sshauth.ErrNobody
	}
	return ans.Text, err
}

// proof is how the server proved its host key, nil where it was not seen. Called
// when it did.
func (a *attempt) proof(sessionID []byte) *firstkex.Proof {
	return a.first.Proof(sessionID, a.check.Key())
}

// config is the SSH library's configuration for this login, at a server that is
// known to have no strict key exchange where lax.
func (a *attempt) config(lax bool) (*ssh.ClientConfig, error) {
	conf := a.Dest.Conf
	hostKeys, err := conf.HostKeyAlgorithms(dest.HostKeyAlgorithms, nil)
	if err == nil {
		hostKeys, err = a.check.Order(hostKeys)
	}
	cfg := &ssh.ClientConfig{
		User:              a.Dest.User,
		HostKeyCallback:   a.check.Callback,
		HostKeyAlgorithms: hostKeys,
		AuthCallback:      a.calls.method,
		ClientVersion:     "SSH-2.0-muxd",
		BannerCallback:    a.calls.banner,
	}
	cfg.RekeyThreshold = unlimited
	var errs [3]error
	cfg.KeyExchanges, errs[0] = conf.KexAlgorithms(dest.KexAlgorithms, nil)
	cfg.Ciphers, errs[1] = conf.Ciphers(dest.Ciphers, nil)
	cfg.MACs, errs[2] = conf.MACs(dest.MACs, nil)
	safe, macs := firstkex.Safe(cfg.Ciphers, cfg.MACs)
	if lax {
		cfg.Ciphers, cfg.MACs = safe, macs
	} else if !slices.Equal(safe, cfg.Ciphers) || !slices.Equal(macs, cfg.MACs) {
		a.first.Ciphers, a.first.MACs = cfg.Ciphers, cfg.MACs
	}
	return cfg, errors.Join(err, errs[0], errs[1], errs[2])
}

// method chooses how to log in. Nothing that a server could use elsewhere is
// given to one that nobody vouches for: a signature is bound to the connection,
// what a person types is not.
func (a *attempt) method(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if a.check.Distrusted() {
		own := *c
		own.AllowedMethods = slices.DeleteFunc(slices.Clone(c.AllowedMethods), func(m string) bool {
			return m == "password" || m == "keyboard-interactive"
		})
		c = &own
	}
	return a.login.Callback()(c)
}

// unprepared is a login that did not begin: the configuration makes no sense,
// or KnownHostsCommand failed.
func (a *attempt) unprepared(err error) error {
	return &NeedsPerson{&control.Error{Phase: control.NotDialled, Host: a.Dest.Name, Text: err.Error()}}
}

// explain turns a failed handshake into the one line a person reads, and marks
// what only a person can mend, and what a busy server did. Sniffed is what it
// said before its version, and heard whether it said anything at all.
func (a *attempt) explain(err error, sniffed string, heard bool) error {
	var key *hostkey.Refused
	if errors.As(err, &key) {
		return a.person(key.Err)
	}
	err = sshauth.Explain(err, a.login)
	if errors.Is(err, sshauth.ErrDenied) || errors.Is(err, sshauth.ErrNobody) || errors.Is(err, control.ErrInterrupted) ||
		errors.Is(err, ErrUnanswered) {
		return a.person(err)
	}
	if why := Unrunnable(err); why != "" && !heard {
		return a.person(fmt.Errorf("%w (%s)", describeHandshake(err, sniffed), why))
	}
	e := &control.Error{Phase: control.Refused, Host: a.Dest.Name, Text: describeHandshake(err, sniffed).Error()}
	return markBusy(e, err, sniffed, heard)
}

// person gives the line its host and phase, and a mark that stays visible to
// classify.
func (a *attempt) person(err error) error {
	return &NeedsPerson{&control.Error{Phase: control.Refused, Host: a.Dest.Name, Text: err.Error()}}
}
