package sshconf

import (
	"slices"
	"time"
)

// Offer is what the caller does where the configuration is silent, and what it
// is able to do: both unknown to this package and yet part of what ssh -G
// prints.
type Offer struct {
	Ciphers, MACs, KexAlgorithms                       Algorithms
	HostKeyAlgorithms, PubkeyAcceptedAlgorithms        Algorithms
	HostbasedAcceptedAlgorithms, CASignatureAlgorithms Algorithms
	// ServerAliveInterval is the silence after which the caller probes by
	// itself; 0 is never. It is printed where nothing is configured.
	ServerAliveInterval time.Duration
	// ControlPersist is how long the caller keeps a connection that nobody uses
	// by itself; 0 is printed as no, less than 0 as yes.
	ControlPersist time.Duration
}

// Algorithms are those of one kind: Default are offered where nothing is
// configured, All are the supported ones, nil if those are the same. Of a kind
// of which there are none nothing is printed.
type Algorithms struct{ Default, All []string }

func (o *Offer) algorithms(name string) *Algorithms {
	switch name {
	case "ciphers":
		return &o.Ciphers
	case "macs":
		return &o.MACs
	case "kexalgorithms":
		return &o.KexAlgorithms
	case "hostkeyalgorithms":
		return &o.HostKeyAlgorithms
	case "hostbasedacceptedalgorithms":
		return &o.HostbasedAcceptedAlgorithms
	case "pubkeyacceptedalgorithms":
		return &o.PubkeyAcceptedAlgorithms
	}
	return &o.CASignatureAlgorithms
}

// list works a list of algorithms out; see Ciphers.
func (c *Config) list(name string, def, all []string) ([]string, error) {
	if all == nil {
		all = def
	}
	out, err := assemble(c.str(name), def, all)
	if err != nil {
		return nil, fatalf("%s: %v", name, err)
	}
	return slices.Clone(out), nil
}
