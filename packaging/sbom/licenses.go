package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// allLicenses are the texts that go with copies of the programs: ours, that of
// Go's library, and those of each module that is linked. A text that several have
// stands once.
func allLicenses(programs []program) ([]byte, error) {
	root, err := goSays("env", "GOROOT")
	if err != nil {
		return nil, err
	}
	mod, err := goSays("env", "GOMOD")
	if err != nil {
		return nil, err
	}
	var all texts
	err = all.add("muxd", filepath.Dir(mod))
	err = errors.Join(err, all.add("Go's standard library", root))
	modules := linked(programs)
	dirs, e := moduleDirs(modules)
	if err = errors.Join(err, e); err != nil {
		return nil, err
	}
	for i, m := range modules {
		err = errors.Join(err, all.add(m.Path+" "+m.Version, dirs[i]))
	}
	return all.join(), err
}

// texts are licences and who has them.
type texts []struct {
	of   []string
	text string
}

// licenseFiles are what is looked for: NOTICE is what Apache's licence asks to be
// passed on, PATENTS what Go's modules grant.
var licenseFiles = []string{"LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "PATENTS*"}

// add finds the texts of one in its directory. To have none is an error: such a
// module nobody may pass on.
func (all *texts) add(whose, dir string) error {
	var text strings.Builder
	for _, pattern := range licenseFiles {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			text.WriteString(strings.TrimSpace(string(b)) + "\n\n")
		}
	}
	if text.Len() == 0 {
		return fmt.Errorf("no licence of %s in %s", whose, dir)
	}
	for i := range *all {
		if (*all)[i].text == text.String() {
			(*all)[i].of = append((*all)[i].of, whose)
			return nil
		}
	}
	*all = append(*all, struct {
		of   []string
		text string
	}{[]string{whose}, text.String()})
	return nil
}

func (all texts) join() []byte {
	var b bytes.Buffer
	b.WriteString("What muxc and muxd are made of, and under which terms.\n\n")
	for _, t := range all {
		rule := strings.Repeat("-", 78)
		fmt.Fprintf(&b, "%s\n%s\n%s\n\n%s", rule, strings.Join(t.of, "\n"), rule, t.text)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// moduleDirs are where the sources of the modules lie; of a program that was just
// built, the module cache has them.
func moduleDirs(modules []*debug.Module) (dirs []string, err error) {
	if len(modules) == 0 {
		return nil, nil // go would take that for all of go.mod
	}
	args := []string{"mod", "download", "-json"}
	for _, m := range modules {
		args = append(args, m.Path+"@"+m.Version)
	}
	out, err := goSays(args...)
	if err != nil {
		return nil, err
	}
	at := map[string]string{}
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var m struct{ Path, Dir string }
		if err := d.Decode(&m); err != nil {
			return nil, err
		}
		at[m.Path] = m.Dir
	}
	for _, m := range modules {
		dirs = append(dirs, at[m.Path])
	}
	return dirs, nil
}

func goSays(args ...string) (string, error) {
	out, err := exec.Command("go", args...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}
