package master

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muxd/control"
	"muxd/internal/dest"
)

// configured is a destination by a configuration of these lines, ssh's keywords
// or ours.
func configured(t *testing.T, lines ...string) *dest.Destination {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := dest.Resolver{Home: "/nonexistent", User: "u", OwnFile: file, UserFile: "/nonexistent", SystemFile: "/nonexistent"}
	plan, err := r.Resolve(t.Context(), &control.Invocation{Args: []string{"h"}}, nobody{})
	if err != nil {
		t.Fatal(err)
	}
	return plan.Dest.(*dest.Destination)
}
