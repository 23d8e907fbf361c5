package dest

import (
	"fmt"
	"slices"
	"strings"

	"muxd/control"
)

// query answers -Q (ssh.c, main): what this muxd can do, one name a line.
func query(what string) (*control.Plan, error) {
	list, ok := queries()[strings.ToLower(what)]
	if !ok {
		return nil, &control.Error{Phase: control.NotDialled, Text: fmt.Sprintf("unsupported query %q", what)}
	}
	return &control.Plan{Text: []byte(strings.Join(list, "\n") + "\n")}, nil
}

// queries are the lists by their names, those of keywords included.
func queries() map[string][]string {
	isCert := func(s string) bool { return strings.Contains(s, "-cert-v01@") }
	certs := slices.DeleteFunc(slices.Clone(PubkeyAlgorithms), func(s string) bool { return !isCert(s) })
	plain := slices.DeleteFunc(slices.Clone(PubkeyAlgorithms), isCert)
	aead := slices.DeleteFunc(slices.Clone(Ciphers), func(s string) bool {
		return !strings.Contains(s, "gcm") && !strings.Contains(s, "poly1305")
	})
	q := map[string][]string{
		"cipher": Ciphers, "cipher-auth": aead, "mac": MACs, "kex": KexAlgorithms,
		"key": PubkeyAlgorithms, "key-cert": certs, "key-plain": plain, "key-sig": PubkeyAlgorithms, "sig": plain,
		"key-ca-sign": CASignatureAlgorithms, "compression": {"none"}, "protocol-version": {"2"},
	}
	for name, list := range map[string]string{
		"ciphers": "cipher", "macs": "mac", "kexalgorithms": "kex", "hostkeyalgorithms": "key-sig", "pubkeyacceptedalgorithms": "key-sig",
		"pubkeyacceptedkeytypes": "key-sig", "casignaturealgorithms": "key-ca-sign", "hostbasedacceptedalgorithms": "key-sig",
	} {
		q[name] = q[list]
	}
	q["hostkeyalgorithms"] = HostKeyAlgorithms
	var names []string
	for name := range q {
		names = append(names, name)
	}
	slices.Sort(names)
	q["help"] = names
	return q
}
