package dest

import (
	"slices"
	"testing"
)

func TestCiphersByWhatTheMachineIsFastAt(t *testing.T) {
	given := []string{"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", chacha, "aes128-ctr"}
	if got := byPreference(given, true); !slices.Equal(got, given) {
		t.Errorf("with AES in hardware: %q", got)
	}
	want := []string{chacha, "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr"}
	if got := byPreference(given, false); !slices.Equal(got, want) {
		t.Errorf("without: %q", got)
	}
	if given[2] != chacha {
		t.Error("the list that was given is another one now")
	}
	if first := Ciphers[0] != chacha; first != fastAES() {
		t.Errorf("AES in hardware: %v, and the first is %s", fastAES(), Ciphers[0])
	}
}
