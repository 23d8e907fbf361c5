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

// AddKeysToAgent is no by default. What ssh would refuse adds nothing.
func (c *Config) AddKeysToAgent() AddKeys {
	v := c.values["addkeystoagent"]
	if len(v) == 0 {
		return AddKeys{}
	}
	time_ := ""
	if len(v) > 1 {
		time_ = v[1]
	}
	switch strings.ToLower(v[0]) {
	case "yes", "true":
		return AddKeys{Add: time_ == ""}
	case "ask":
		return AddKeys{Add: time_ == "", Ask: true}
	case "confirm":
		n, ok := scanTime(time_)
		return AddKeys{Add: ok || time_ == "", Confirm: true, Lifetime: time.Duration(n) * time.Second}
	}
	n, ok := scanTime(v[0])
	return AddKeys{Add: ok && time_ == "", Lifetime: time.Duration(n) * time.Second}
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
