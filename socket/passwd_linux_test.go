package socket

import (
	"os"
	"testing"
)

func TestPasswdField(t *testing.T) {
	file := t.TempDir() + "/passwd"
	ok(t, os.WriteFile(file, []byte("# a comment\nshort:x:7\nann:x:7:7:Ann,,,:/home/ann:/bin/sh\n"+
		"twin:x:7:7::/home/twin:/bin/sh\nbare:x:70:70::/bare\nx:7:x:7:::/no"), 0o600))
	for _, tt := range []struct {
		uid        uint32
		name, home string
	}{
		{7, "ann", "/home/ann"},
		{70, "bare", "/bare"},
		{8, "", ""},
	} {
		name, home := passwdField(file, tt.uid, passwdName), passwdField(file, tt.uid, passwdHome)
		if name != tt.name || home != tt.home {
			t.Errorf("uid %d: %q %q", tt.uid, name, home)
		}
	}
	if got := passwdField(file+".no", 7, passwdName); got != "" {
		t.Errorf("without a file: %q", got)
	}
}
