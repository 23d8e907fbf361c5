package sshconf

import (
	"fmt"
	"strings"
)

// canonicalDefaults are settled before the second pass, which can therefore not
// change them (readconf.c, fill_default_options_for_canonicalization).
var canonicalDefaults = map[string]string{
	"canonicalizemaxdots": "1", "canonicalizefallbacklocal": "yes", "canonicalizehostname": "no",
}

// canonicalize is the name under which the host is looked up, matched and known
// (ssh.c, main and resolve_canonicalize). An address is always brought into its
// one form, a name only where CanonicalizeHostname asks for it.
func (e *evaluator) canonicalize(host string) (string, error) {
	addr, numeric := parseAddress(host, e.c.AddressFamily())
	switch {
	case numeric && strings.EqualFold(host, addr):
		return host, nil // ssh leaves capitals in it alone
	case numeric:
		return addr, nil
	}
	fast := looksNumeric(host)
	if !fast {
		host = lowerASCII(host)
	}
	if !e.canonicalizes() {
		return host, nil
	}
	if !fast {
		name, cname, err := e.qualify(host)
		if err != nil || name != "" {
			return e.follow(name, cname), err
		}
	}
	return e.searched(host)
}

// canonicalizes reports whether names are canonicalised: with yes only those that
// are looked up here and not at the other end of a proxy. ssh looks a host up
// without CanonicalizeHostname too where CNAMEs are permitted, but does nothing
// with what it learns, so that is left out.
func (e *evaluator) canonicalizes() bool {
	return e.c.str("canonicalizehostname") == "always" || e.c.str("canonicalizehostname") == "yes" && e.direct()
}

func (e *evaluator) direct() bool {
	return e.c.textOrNone("proxycommand") == "" && e.c.textOrNone("proxyjump") == ""
}

// qualify looks for the host in CanonicalDomains. No name and no error is: not
// found, and that does not matter.
func (e *evaluator) qualify(host string) (name, cname string, err error) {
	if strings.HasSuffix(host, ".") {
		cname, found, err := e.resolve(host)
		if err != nil || found {
			return strings.TrimSuffix(host, "."), cname, err
		}
		return "", "", e.notFound(host)
	}
	if dots, _ := e.c.number("canonicalizemaxdots", 1); strings.Count(host, ".") > dots {
		return "", "", nil
	}
	for _, domain := range e.c.values["canonicaldomains"] {
		if domain == "none" {
			break
		}
		name = host + "." + domain
		cname, found, err := e.resolve(name + ".")
		if err != nil || found {
			return name, cname, err
		}
	}
	return "", "", e.notFound(host)
}

func (e *evaluator) notFound(host string) error {
	if e.c.flag("canonicalizefallbacklocal", true) {
		return nil
	}
	return fatalf("Could not resolve host \"%s\"", host)
}

// searched follows the CNAME of a host that no canonical domain has, where any
// are permitted.
func (e *evaluator) searched(host string) (string, error) {
	if !e.permitsCNAMEs() {
		return host, nil
	}
	cname, found, err := e.resolve(host)
	switch {
	case err != nil:
		return "", err
	case !found && e.direct():
		return "", fatalf("Could not resolve hostname %s: Name or service not known", host)
	case !found:
		return host, nil // the proxy may know it
	}
	return e.follow(host, cname), nil
}

func (e *evaluator) permitsCNAMEs() bool {
	rules := e.c.values["canonicalizepermittedcnames"]
	return len(rules) > 0 && lowerASCII(rules[0]) != "none"
}

// follow is the name behind a CNAME, if CanonicalizePermittedCNAMEs permits it.
func (e *evaluator) follow(name, cname string) string {
	if cname == "" || cname == name || !e.permitsCNAMEs() {
		return name
	}
	for _, rule := range e.c.values["canonicalizepermittedcnames"] {
		source, target, _ := strings.Cut(rule, ":")
		if matchList(name, source, true) == matched && matchList(cname, target, true) == matched {
			return lowerASCII(cname)
		}
	}
	return name
}

// networks are the names of address families in package net.
var networks = map[string]string{"any": "ip", "inet": "ip4", "inet6": "ip6"}

// resolve asks the caller for a name. A canonical name that is none is ignored,
// since it comes from the network and would go into paths and commands.
func (e *evaluator) resolve(name string) (cname string, found bool, err error) {
	if e.in.Lookup == nil {
		return "", false, fatalf("CanonicalizeHostname needs %s to be looked up, and nobody is there to do it", name)
	}
	cname, found, err = e.in.Lookup(networks[e.c.AddressFamily()], name)
	if err != nil {
		return "", false, fmt.Errorf("canonicalize hostname %s: %w", name, err)
	}
	if !found || cname == "" {
		return "", found, nil
	}
	valid, bad := validDomain(cname, false)
	if bad != nil {
		e.c.warn(fmt.Sprintf("ignoring bad CNAME %q for host %q: %v", cname, name, bad))
		return "", true, nil
	}
	return valid, true, nil
}
