package dest

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"muxd/internal/reach"
)

// lookupTimeout bounds one look-up of CanonicalizeHostname. ssh leaves that to
// the resolver, whose own patience is about as long.
const lookupTimeout = 10 * time.Second

// lookup resolves a name for sshconf.Input.Lookup.
func (r *Resolver) lookup(ctx context.Context, network, name string) (cname string, found bool, err error) {
	if r.Lookup != nil {
		return r.Lookup(ctx, network, name)
	}
	return canonical(ctx, network, name)
}

// canonical answers sshconf.Input.Lookup by the system's resolver.
func canonical(ctx context.Context, network, name string) (cname string, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var dns *net.DNSError
	switch _, err := net.DefaultResolver.LookupNetIP(ctx, network, name); {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "", false, nil
	case err != nil:
		return "", false, reach.Cause(err)
	}
	// A name from /etc/hosts has an address and no canonical name.
	if cname, err = net.DefaultResolver.LookupCNAME(ctx, name); err != nil {
		cname = ""
	}
	return strings.TrimSuffix(cname, "."), true, nil
}
