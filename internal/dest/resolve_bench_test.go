package dest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muxd/control"
)

// BenchmarkResolve is what a request pays for its command line and a
// configuration of 500 hosts, read anew.
func BenchmarkResolve(b *testing.B) {
	home := b.TempDir()
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "Host web%d db%d.example.com\n  HostName 10.0.%d.%d\n  User deploy\n  IdentityFile ~/.ssh/id_%d\n\n", i, i, i/256, i%256, i)
	}
	text.WriteString("Host *\n  ServerAliveInterval 30\n")
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	r := Resolver{Home: home, User: "me", SystemFile: filepath.Join(home, "none")}
	for b.Loop() {
		if _, err := r.Resolve(b.Context(), &control.Invocation{Args: []string{"web499", "true"}, Dir: home}, silent()); err != nil {
			b.Fatal(err)
		}
	}
}
