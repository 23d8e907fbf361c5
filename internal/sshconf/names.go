package sshconf

import (
	"errors"
	"os"
	"slices"
	"strings"
)

// Hosts are the names that the Host lines of a file give in full, in their order
// and each once: the destinations that a person has named there. Patterns name
// none, and files that it includes are not looked at. A file that is not there
// names nobody.
func Hosts(file string) ([]string, error) {
	e := evaluator{in: &Input{UID: os.Getuid()}, c: newConfig()}
	data, err := e.slurp(file, true)
	var oe *openError
	if errors.As(err, &oe) && errors.Is(oe.err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for text := range strings.Lines(data) {
		keyword, rest := cutKeyword(strings.TrimSuffix(text, "\n"))
		if keyword != "host" {
			continue
		}
		words, err := splitArgs(nil, rest, true)
		if err != nil {
			continue // whoever resolves a destination is told of it
		}
		for _, w := range words {
			if !strings.ContainsAny(w, "*?!") && !slices.Contains(names, w) {
				names = append(names, w)
			}
		}
	}
	return names, nil
}
