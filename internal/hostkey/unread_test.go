package hostkey

import (
	"os"
	"strings"
	"testing"
)

// Where a file cannot be read, that is why no key is known, and not the host.
func TestKnownHostsThatCannotBeRead(t *testing.T) {
	r := newRig(t)
	file := r.home + "/known_hosts"
	os.Remove(file)
	os.Mkdir(file, 0o700)
	want := " (" + file + ": is a directory)"
	for _, strict := range []string{"yes", "ask"} { // nobody is there to ask
		err := r.check(says(), "-o", "StrictHostKeyChecking="+strict, "host").meet(r.key)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", strict, err, want)
		}
	}
	p := says("no")
	if err := r.check(p, "host").meet(r.key); err == nil || len(p.Asked()) == 0 || !strings.Contains(p.Asked()[0].Text, "WARNING:"+want) {
		t.Errorf("asked %+v", p.Asked())
	}
}
