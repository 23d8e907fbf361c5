package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"muxd/internal/build"
)

// The part of CycloneDX 1.6 that is used here
// (https://cyclonedx.org/docs/1.6/json/).
type (
	bom struct {
		Schema       string       `json:"$schema"`
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Type       string          `json:"type"`
		Ref        string          `json:"bom-ref"`
		Name       string          `json:"name"`
		Version    string          `json:"version"`
		Hashes     []hash          `json:"hashes,omitempty"`
		Licenses   []licenseChoice `json:"licenses,omitempty"`
		PackageURL string          `json:"purl,omitempty"`
		Properties []property      `json:"properties,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	licenseChoice struct {
		License struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

// document is the bill of materials: muxd is made of programs, a program of
// modules and Go's own library.
func document(programs []program) ([]byte, error) {
	whole := component{Type: "application", Ref: "muxd", Name: "muxd", Version: build.Version, Licenses: make([]licenseChoice, 1)}
	whole.Licenses[0].License.ID = "BSD-3-Clause"
	b := bom{Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata: metadata{whole}}
	top := dependency{Ref: whole.Ref}
	var edges []dependency
	for _, p := range programs {
		c, std := p.component(), standardLibrary(p.info.GoVersion)
		top.DependsOn = append(top.DependsOn, c.Ref)
		b.Components = append(b.Components, c)
		edge := dependency{c.Ref, []string{std.Ref}}
		for _, m := range p.info.Deps {
			edge.DependsOn = append(edge.DependsOn, moduleURL(real(m).Path, real(m).Version))
		}
		edges = append(edges, edge)
	}
	for _, p := range programs {
		std := standardLibrary(p.info.GoVersion)
		if !slices.ContainsFunc(b.Components, func(c component) bool { return c.Ref == std.Ref }) {
			b.Components = append(b.Components, std)
		}
	}
	for _, m := range linked(programs) {
		url := moduleURL(m.Path, m.Version)
		c := component{Type: "library", Ref: url, Name: m.Path, Version: m.Version, PackageURL: url}
		if m.Sum != "" {
			// A hash of a list of hashes (golang.org/ref/mod#go-sum-files), and so none of
			// CycloneDX's.
			c.Properties = []property{{"muxd:go.sum", m.Sum}}
		}
		b.Components = append(b.Components, c)
	}
	b.Dependencies = append([]dependency{top}, edges...)
	text, err := json.MarshalIndent(b, "", "  ")
	return append(text, '\n'), err
}

func (p program) component() component {
	sum := sha256.Sum256(p.content)
	c := component{Type: "application", Ref: "program:" + p.name, Name: p.name, Version: build.Version,
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}}
	for _, s := range p.info.Settings {
		c.Properties = append(c.Properties, property{"muxd:build:" + s.Key, s.Value})
	}
	return c
}

func standardLibrary(goVersion string) component {
	version := strings.TrimPrefix(goVersion, "go")
	url := moduleURL("std", version)
	return component{Type: "library", Ref: url, Name: "std", Version: version, PackageURL: url}
}

// moduleURL is a package URL (github.com/package-url/purl-spec, type golang).
func moduleURL(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}
