package sshconf

import (
	"fmt"
	"net/netip"
	"strings"
)

// exec asks the caller, unless the answer cannot matter. ssh runs the command
// also in files included from a block that does not apply; nothing can
// depend on it there, so it is left out.
func (m *matcher) exec(arg string) (bool, error) {
	t, err := m.e.tokens()
	if err != nil {
		return false, err
	}
	command, err := expand(arg, connTokens, t.lookup, nil)
	if err != nil {
		return false, &abort{m.l.text("failed to expand match exec '%s': %v", arg, err)}
	}
	if !m.result || m.never {
		return false, nil
	}
	if m.e.in.Exec == nil {
		return false, &abort{m.l.text("Match exec '%s' needs a command to be run, and nobody is there to run it", command)}
	}
	ok, err := m.e.in.Exec(command)
	if err != nil {
		return false, fmt.Errorf("%s: %w", m.l.text("match exec '%s' error", command), err)
	}
	return ok, nil
}

func (m *matcher) localNetwork(arg string) (bool, error) {
	nets, complaints := scanNetworks(arg)
	if complaints != nil {
		return false, m.bad(complaints...)
	}
	if !m.result || m.never {
		return false, nil
	}
	if m.e.in.LocalNetwork == nil {
		return false, &abort{m.l.text("Match localnetwork %s needs the addresses of this machine, and nobody is there to tell", arg)}
	}
	ok, err := m.e.in.LocalNetwork(nets)
	if err != nil {
		return false, fmt.Errorf("%s: %w", m.l.text("match localnetwork '%s' error", arg), err)
	}
	return ok, nil
}

// maxNetwork is the longest IPv6 address with its NUL, and a length behind it.
const maxNetwork = 46 + 3

// scanNetworks reads a list of networks, or says what is wrong with it
// (addrmatch.c, addr_match_cidr_list).
func scanNetworks(list string) (nets []netip.Prefix, complaints []string) {
	for s := range strings.SplitSeq(list, ",") {
		switch {
		case s == "":
			return nil, []string{fmt.Sprintf("addr_match_cidr_list: empty entry in list \"%.100s\"", list)}
		case len(s) > maxNetwork:
			return nil, []string{fmt.Sprintf("addr_match_cidr_list: list entry \"%.100s\" too long", s)}
		case strings.Trim(s, "0123456789abcdefABCDEF.:/") != "":
			complaints = append(complaints, fmt.Sprintf("addr_match_cidr_list: list entry \"%.100s\" contains invalid characters", s))
		}
		p, err := scanNetwork(s)
		if err != nil {
			return nil, append(complaints, err.Error())
		}
		nets = append(nets, p)
	}
	return nets, complaints
}

// scanNetwork reads address or address/length, without bits behind the length.
func scanNetwork(s string) (netip.Prefix, error) {
	host, length, sized := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(host)
	bits := addr.BitLen()
	if sized && err == nil {
		bits, err = scanInt(length)
	}
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("Invalid network entry \"%s\"", s)
	}
	p := netip.PrefixFrom(addr, bits)
	if !p.IsValid() || p != p.Masked() {
		return p, fmt.Errorf("Inconsistent mask length for network \"%s\"", s)
	}
	return p, nil
}
