package main

import (
	"debug/elf"
	"os"
	"path/filepath"
	"testing"
)

// mostLoaded is what of muxc the kernel maps when it starts: 2.2 MiB on amd64, and some
// room. Each page of it that is touched costs every command a fault.
const mostLoaded = 2600 << 10

// TestSize holds muxc to what its start costs: small, static, at a fixed address.
func TestSize(t *testing.T) {
	if os.Getenv("MUX_TEST_BUILD") != "" {
		t.Skip("built in another way than muxc is")
	}
	f, err := elf.Open(filepath.Join(bin, "muxc"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Type != elf.ET_EXEC {
		t.Errorf("it is %v: relocated at each start", f.Type)
	}
	var size uint64
	for _, p := range f.Progs {
		switch p.Type {
		case elf.PT_LOAD:
			size += p.Filesz
		case elf.PT_INTERP, elf.PT_DYNAMIC:
			t.Errorf("it has %v: a linker runs at each start", p.Type)
		}
	}
	t.Logf("%d KiB are mapped", size>>10)
	if size > mostLoaded {
		t.Errorf("%d KiB are mapped, and may be %d: what was linked anew?", size>>10, mostLoaded>>10)
	}
}
