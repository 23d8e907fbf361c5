package master

import (
	"testing"

	"muxd/internal/sshconf"
)

// configured is a destination with -o settings.
func configured(t *testing.T, options ...string) *destination {
	t.Helper()
	in := sshconf.Input{Host: "h", Home: "/nonexistent", LocalUser: "u"}
	for _, o := range options {
		s, err := sshconf.ParseOption(o)
		if err != nil {
			t.Fatal(err)
		}
		in.Options = append(in.Options, s)
	}
	conf, err := sshconf.Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	return &destination{name: "h", host: "h", conf: conf, alive: aliveConfig(conf)}
}
