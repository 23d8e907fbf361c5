package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// results is the directory in which the last figures are kept with the source,
// and where else they go.
type results struct{ dir string }

const (
	resultJSON  = "report.json"
	resultTable = "table.md"
	resultChart = "ratios.svg"
)

// openResults finds the directory. A run of some parts replaces these in what
// the others found before, if that was on the same machine with the same
// programs beside it; a run of all begins anew.
func openResults(r *report, all bool) (*results, error) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "muxd/bench").Output()
	if err != nil {
		return nil, fmt.Errorf("-write finds the source by go list: %w", err)
	}
	b := &results{dir: filepath.Join(strings.TrimSpace(string(out)), "results")}
	if all {
		return b, nil
	}
	return b, r.resume(filepath.Join(b.dir, resultJSON))
}

// resume takes the parts of an earlier report over.
func (r *report) resume(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var old report
	if err := json.Unmarshal(text, &old); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if old.Version != r.Version || old.Machine != r.Machine {
		return fmt.Errorf("%s is from another machine, ssh or version of this program: measure all parts with -write, or these without", path)
	}
	r.Parts = old.Parts
	return nil
}

// save writes the report to all places that were asked for.
func (b *results) save(r *report, o options) error {
	text, err := r.json()
	if err != nil {
		return err
	}
	if o.json != "" {
		if err := os.WriteFile(o.json, text, 0o644); err != nil {
			return err
		}
	}
	if b.dir == "" {
		return nil
	}
	return errors.Join(os.MkdirAll(b.dir, 0o755),
		os.WriteFile(filepath.Join(b.dir, resultJSON), text, 0o644),
		os.WriteFile(filepath.Join(b.dir, resultTable), []byte(r.markdown()), 0o644),
		os.WriteFile(filepath.Join(b.dir, resultChart), []byte(r.chart()), 0o644))
}
