// Command sbom says what built programs are made of, which their build
// information tells (go version -m):
//
//	go run ./packaging/sbom [-o FILE] [-licenses FILE] build/muxc build/muxd
//
// The one is a CycloneDX 1.6 document, the other has the texts of the licences. It
// looks at programs and not at go.mod, which names modules that only tests
// use. The same programs give the same bytes: there is no time and no serial
// number in it.
package main

import (
	"bytes"
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	output := flag.String("o", "", "write to `FILE` and not to stdout")
	licenses := flag.String("licenses", "", "write the texts of the licences to `FILE`")
	flag.Parse()
	if err := write(*output, *licenses, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func write(output, licenses string, paths []string) error {
	programs, err := look(paths)
	if err != nil {
		return err
	}
	if licenses != "" {
		text, err := allLicenses(programs)
		if err == nil {
			err = os.WriteFile(licenses, text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	text, err := document(programs)
	if err == nil && output != "" {
		return os.WriteFile(output, text, 0o644)
	}
	if err == nil {
		_, err = os.Stdout.Write(text)
	}
	return err
}

// program is one built program and what it says of itself.
type program struct {
	name    string // of the file
	content []byte
	info    *debug.BuildInfo
}

func look(paths []string) (programs []program, err error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("of which programs?")
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		info, err := buildinfo.Read(bytes.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		programs = append(programs, program{filepath.Base(path), content, info})
	}
	return programs, nil
}

// linked are the modules in any of the programs, each once. One that is replaced
// is what it is replaced with.
func linked(programs []program) (modules []*debug.Module) {
	for _, p := range programs {
		for _, m := range p.info.Deps {
			modules = append(modules, real(m))
		}
	}
	slices.SortFunc(modules, func(a, b *debug.Module) int {
		return strings.Compare(a.Path+"@"+a.Version, b.Path+"@"+b.Version)
	})
	return slices.CompactFunc(modules, func(a, b *debug.Module) bool { return a.Path == b.Path && a.Version == b.Version })
}

func real(m *debug.Module) *debug.Module {
	for m.Replace != nil {
		m = m.Replace
	}
	return m
}
