package muxd_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every module that is asked for is pinned to a version and has its reason in
// CONTRIBUTING.md, and every reason there is that of such a module. That goes for
// the tools too.
func TestDependenciesHaveReasons(t *testing.T) {
	page, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n## Dependencies\n")
	if !ok {
		t.Fatal("CONTRIBUTING.md has no section Dependencies")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	reasons := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]{10,} \\|$").FindAllStringSubmatch(section, -1) {
		reasons[m[1]] = true
	}
	for _, module := range slices.Concat(required(t, "go.mod"), tools(t, "tools/go.mod"), tools(t, "packaging/tools/go.mod")) {
		if !reasons[module] {
			t.Errorf("CONTRIBUTING.md gives no reason for %s", module)
		}
		delete(reasons, module)
	}
	for module := range reasons {
		t.Errorf("CONTRIBUTING.md gives a reason for %s, which nobody asks for", module)
	}
}

// required are the modules that a go.mod asks for by itself. One that is replaced
// comes from elsewhere than go.sum says.
func required(t *testing.T, file string) (modules []string) {
	t.Helper()
	text := read(t, file)
	if strings.Contains(text, "replace ") {
		t.Errorf("%s replaces a module", file)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(text, -1) {
		modules = append(modules, m[1])
	}
	if len(modules) == 0 {
		t.Errorf("%s asks for nothing?", file)
	}
	return modules
}

// tools are the packages that a go.mod has as tools.
func tools(t *testing.T, file string) (packages []string) {
	t.Helper()
	block := regexp.MustCompile(`(?s)\ntool \(?(.*?)(?:\)|\n\n)`).FindStringSubmatch(read(t, file))
	if block == nil {
		t.Fatal("no tools in " + file)
	}
	return strings.Fields(block[1])
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
