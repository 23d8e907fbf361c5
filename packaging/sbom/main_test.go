package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

const (
	sumOfA  = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" // of "foo"
	modules = `dep	example.com/a	v1.0.0	h1:AA=
dep	example.com/b/v2	v2.1.0+incompatible	h1:BB=
dep	example.com/old	v0.1.0
=>	example.com/fork	v0.2.0	h1:CC=
`
)

func fake(t *testing.T, name, content, info string) program {
	t.Helper()
	b, err := debug.ParseBuildInfo("path\tmuxd/cmd/" + name + "\nmod\tmuxd\t(devel)\t\n" + info + "build\tGOOS=linux\n")
	if err != nil {
		t.Fatal(err)
	}
	b.GoVersion = "go1.26.8"
	return program{name, []byte(content), b}
}

// Each module stands there once, in the version that was linked, and each
// reference leads to something.
func TestDocument(t *testing.T) {
	programs := []program{fake(t, "muxc", "foo", "dep\texample.com/a\tv1.0.0\th1:AA=\n"), fake(t, "muxd", "bar", modules)}
	text, err := document(programs)
	if err != nil {
		t.Fatal(err)
	}
	var b bom
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	refs := []string{b.Metadata.Component.Ref}
	for _, c := range b.Components {
		refs = append(refs, c.Ref)
	}
	want := []string{"muxd", "program:muxc", "program:muxd", "pkg:golang/std@1.26.8", "pkg:golang/example.com/a@v1.0.0",
		"pkg:golang/example.com/b/v2@v2.1.0%2Bincompatible", "pkg:golang/example.com/fork@v0.2.0"}
	if !slices.Equal(refs, want) {
		t.Errorf("components %q\nwant %q", refs, want)
	}
	for _, d := range b.Dependencies {
		for _, ref := range append(d.DependsOn, d.Ref) {
			if !slices.Contains(refs, ref) {
				t.Errorf("%s leads nowhere", ref)
			}
		}
	}
	if len(b.Dependencies) != 3 || len(b.Dependencies[1].DependsOn) != 2 || len(b.Dependencies[2].DependsOn) != 4 {
		t.Errorf("%+v", b.Dependencies)
	}
	if c := b.Components[0]; c.Hashes[0].Content != sumOfA || !slices.Contains(c.Properties, property{"muxd:build:GOOS", "linux"}) {
		t.Errorf("%+v", c)
	}
	again, _ := document(programs)
	if string(again) != string(text) {
		t.Error("the second time it is another")
	}
}

// This test is a program too.
func TestLook(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs, err := look([]string{exe})
	if err != nil || len(programs) != 1 || programs[0].info.Main.Path != "muxd" {
		t.Errorf("%+v, %v", programs, err)
	}
	for _, wrong := range [][]string{nil, {"main.go"}, {"no-such-file"}} {
		if _, err := look(wrong); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func TestLicenses(t *testing.T) {
	dir := func(files ...string) string {
		d := t.TempDir()
		for _, f := range files {
			os.WriteFile(filepath.Join(d, f), []byte("as "+f), 0o600)
		}
		return d
	}
	var all texts
	for name, d := range map[string]string{"a": dir("LICENSE", "README"), "b": dir("LICENSE"), "c": dir("COPYING", "NOTICE")} {
		if err := all.add(name, d); err != nil {
			t.Error(err)
		}
	}
	text := string(all.join())
	for want, n := range map[string]int{"as LICENSE": 1, "as COPYING\n\nas NOTICE": 1, "as README": 0, "\na\n": 1, "\nb\n": 1, "\nc\n": 1} {
		if strings.Count(text, want) != n {
			t.Errorf("%q stands there %d times, want %d:\n%s", want, strings.Count(text, want), n, text)
		}
	}
	if err := all.add("d", dir("README")); err == nil {
		t.Error("a module without a licence was taken")
	}
}
