package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// quoted are the words that match in the part of a file between two marks.
func quoted(t *testing.T, file, from, to, word string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(b), from)
	part, _, ends := strings.Cut(rest, to)
	if !found || !ends {
		t.Fatalf("%s has no part from %q to %q", file, from, to)
	}
	var all []string
	for _, m := range regexp.MustCompile(word).FindAllStringSubmatch(part, -1) {
		all = append(all, strings.ToLower(m[1]))
		if file == "../internal/dest/options.go" || from == "- options: " {
			all[len(all)-1] = m[1] // letters are options of their own in either case
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestNotBuiltYet holds the list of what is refused to the code that refuses:
// a reader must not be told that something is missing that works, nor the
// other way round.
func TestNotBuiltYet(t *testing.T) {
	const page = "deviations.md"
	told := quoted(t, page, "- options: ", ".\n", `-([A-Za-z])`)
	refused := quoted(t, "../internal/dest/options.go", "var refusals = map", "\n}", `'([A-Za-z])':`)
	if !slices.Equal(told, refused) {
		t.Errorf("%s lists the options %v as not built, internal/dest/options.go %v", page, told, refused)
	}
	told = quoted(t, page, "is told in one line what is missing:\n", "\n\n", "`([A-Za-z0-9]+)`")
	missing := quoted(t, "../internal/dest/carried.go", "var extra = []string{", "}", `"([a-z0-9]+)"`)
	if !slices.Equal(told, missing) {
		t.Errorf("%s lists the keywords %v as left out, internal/dest/carried.go %v", page, told, missing)
	}
}

// TestEveryKeywordIsTold: one that the parser takes and no page explains may do
// nothing, and nobody would notice.
func TestEveryKeywordIsTold(t *testing.T) {
	page, err := os.ReadFile("keywords.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[A-Za-z`, ]+`) \\|").FindAllStringSubmatch(string(page), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			names = append(names, strings.ToLower(strings.Trim(name, "`")))
		}
	}
	slices.Sort(names)
	taken := quoted(t, "../internal/sshconf/keyword.go", "func (b builder) owned() {", "\n}", `"([a-z]+)"`)
	taken = slices.DeleteFunc(taken, func(w string) bool { return w == "text" || w == "json" })
	if !slices.Equal(names, taken) {
		t.Errorf("keywords.md tells %v\nthe parser takes %v", names, taken)
	}
}

// TestLinks: a page that names a file of this tree names one that is there.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^):#]+)\)`)
	for _, page := range []string{"../README.md", "deviations.md", "recipes.md", "../CONTRIBUTING.md", "../SECURITY.md", "../bench/README.md"} {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		dir := page[:strings.LastIndexByte("/"+page, '/')]
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat(dir + m[1]); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// TestSecurityPromises: each promise names a test, and each test that is named
// is there.
func TestSecurityPromises(t *testing.T) {
	b, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\n## What is promised\n")
	promised, _, found := strings.Cut(rest, "\n## What is not promised\n")
	if !found {
		t.Fatal("SECURITY.md says not what is promised and what is not")
	}
	tests := testsByPackage(t)
	named := regexp.MustCompile("`([a-z0-9]+): ((?:Test|Fuzz)[A-Za-z0-9]+)`")
	for _, m := range named.FindAllStringSubmatch(string(b), -1) {
		if !slices.Contains(tests[m[1]], m[2]) {
			t.Errorf("SECURITY.md names %s in %s, and there is none", m[2], m[1])
		}
	}
	for _, promise := range strings.Split(promised, "\n- ")[1:] {
		if !named.MatchString(promise) {
			t.Errorf("no test holds: %s", promise)
		}
	}
}

// testsByPackage are the names of all tests and fuzz targets, by the last
// element of their package's path.
func testsByPackage(t *testing.T) map[string][]string {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	all := map[string][]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range function.FindAllStringSubmatch(string(b), -1) {
			name := filepath.Base(filepath.Dir(path))
			if name == ".." { // of the whole
				name = "muxd"
			}
			all[name] = append(all[name], m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
