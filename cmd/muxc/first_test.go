package main

import (
	"testing"
)

func TestFirstCommandStartsMuxdAndTheNextReuseIt(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	for range 20 {
		h.echo()
	}
	h.pid()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins for 20 commands, want 1", n)
	}
}
