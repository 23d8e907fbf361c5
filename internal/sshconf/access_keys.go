package sshconf

import (
	"strings"
	"time"
)

// AddKeys is AddKeysToAgent: what is to become of a key that was read from its
// file.
type AddKeys struct {
	Add, Ask, Confirm bool
	Lifetime          time.Duration // 0: no end
}

// AddKeysToAgent is no by default.
func (c *Config) AddKeysToAgent() AddKeys {
	v := c.values["addkeystoagent"]
	if len(v) < 2 || v[0] == "no" {
		return AddKeys{}
	}
	return AddKeys{Add: true, Ask: v[0] == "ask", Confirm: v[0] == "confirm", Lifetime: seconds(v[1])}
}

// PKCS11Provider is the library of a smart card, "" for none.
func (c *Config) PKCS11Provider() string { return c.textOrNone("pkcs11provider") }

// SecurityKeyProvider is the library that reaches security keys, "" for ssh's
// own. A value of $NAME is the variable's.
func (c *Config) SecurityKeyProvider() string {
	v := c.str("securitykeyprovider")
	if name, ok := strings.CutPrefix(v, "$"); ok && name != "" {
		if v = ""; c.in.Env != nil {
			v = c.in.Env(name)
		}
	}
	if v == "internal" {
		return ""
	}
	return v
}
