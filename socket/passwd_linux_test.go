package socket

import (
	"fmt"
	"os"
	"strings"
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

// FuzzPasswdField: whatever stands in the file, a field is one of a line of it
// whose third is the number.
func FuzzPasswdField(f *testing.F) {
	f.Add([]byte("ann:x:7:7:Ann,,,:/home/ann:/bin/sh\nx:7:x\n"), uint32(7))
	f.Add([]byte(":::::::\n7:7:7:7:7:7"), uint32(7))
	file := f.TempDir() + "/passwd"
	f.Fuzz(func(t *testing.T, b []byte, uid uint32) {
		ok(t, os.WriteFile(file, b, 0o600))
		home := passwdField(file, uid, passwdHome)
		if home != "" && !strings.Contains(string(b), fmt.Sprintf(":%d:", uid)) || strings.ContainsAny(home, ":\n") {
			t.Errorf("uid %d of %q: %q", uid, b, home)
		}
	})
}
