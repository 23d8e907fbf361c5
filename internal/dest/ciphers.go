package dest

import (
	"runtime"
	"slices"

	"golang.org/x/sys/cpu"
)

const chacha = "chacha20-poly1305@openssh.com"

// byPreference puts chacha20 first where AES-GCM is done in software. The SSH
// library's is then the slower one several times over, and the only one of the
// two whose time may depend on what it works on.
func byPreference(ciphers []string, hardware bool) []string {
	if hardware {
		return ciphers
	}
	others := slices.DeleteFunc(slices.Clone(ciphers), func(s string) bool { return s == chacha })
	return append([]string{chacha}, others...)
}

// fastAES reports instructions for both halves of AES-GCM, as Go's crypto/aes
// wants them. There is no Mac with an ARM processor that has them not.
func fastAES() bool {
	switch runtime.GOARCH {
	case "amd64":
		return cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ && cpu.X86.HasSSE41 && cpu.X86.HasSSSE3
	case "arm64":
		return cpu.ARM64.HasAES && cpu.ARM64.HasPMULL || runtime.GOOS == "darwin"
	case "s390x":
		return cpu.S390X.HasAES && cpu.S390X.HasAESCTR && cpu.S390X.HasGHASH
	case "ppc64le":
		return true // POWER8 has, and Go runs on none before
	}
	return false
}
