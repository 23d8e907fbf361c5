package sshconf

import (
	"testing"
	"time"
)

func TestAddKeysToAgent(t *testing.T) {
	for value, want := range map[string]AddKeys{
		"":           {},
		"no":         {},
		"yes":        {Add: true},
		"ask":        {Add: true, Ask: true},
		"confirm":    {Add: true, Confirm: true},
		"confirm 5m": {Add: true, Confirm: true, Lifetime: 5 * time.Minute},
		"2h":         {Add: true, Lifetime: 2 * time.Hour},
	} {
		config := ""
		if value != "" {
			config = "AddKeysToAgent " + value + "\n"
		}
		if got := must(t, person(t, config, nil).in).AddKeysToAgent(); got != want {
			t.Errorf("%q: %+v, want %+v", value, got, want)
		}
	}
}

func TestProviders(t *testing.T) {
	env := map[string]string{"SK": "/lib/sk.so"}
	for config, want := range map[string][2]string{
		"":                                    {"", ""},
		"PKCS11Provider none":                 {"", ""},
		"PKCS11Provider /p.so":                {"/p.so", ""},
		"SecurityKeyProvider internal":        {"", ""},
		"SecurityKeyProvider /s.so":           {"", "/s.so"},
		"SecurityKeyProvider $SK":             {"", "/lib/sk.so"},
		"SecurityKeyProvider $NONE":           {"", ""},
		"Smartcarddevice /p.so # an old name": {"/p.so", ""},
	} {
		c := must(t, person(t, config+"\n", env).in)
		if got := [2]string{c.PKCS11Provider(), c.SecurityKeyProvider()}; got != want {
			t.Errorf("%q: %q", config, got)
		}
	}
}
