package sshconf

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestStamp(t *testing.T) {
	w := person(t, "", nil)
	w.in.ConfigFile, w.in.UID = "", os.Getuid() // whose files they must be
	w.in.OwnFile, w.in.UserFile, w.in.SystemFile = filepath.Join(w.dir, "own"), w.write("user", "Include DIR/d/*\nMatch final\nPort 7\n"), filepath.Join(w.dir, "system")
	inner := w.write("d/inner", "Port 1\n")
	past := time.Now().Add(-time.Hour)
	last := must(t, w.in).Stamp()
	if again := must(t, w.in).Stamp(); again != last || len(last) != 32 {
		t.Fatalf("%q, then %q", last, again)
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"a file read got another time", func() error { return os.Chtimes(inner, past, past) }},
		{"a file read grew", func() error {
			w.write("d/inner", "Port 11\n")
			return os.Chtimes(inner, past, past)
		}},
		{"a file read was replaced by its like", func() error {
			next := w.write("next", "Port 12\n")
			if err := os.Chtimes(next, past, past); err != nil {
				return err
			}
			return os.Rename(next, inner)
		}},
		{"a file came that was looked for", func() error { w.write("system", ""); return nil }},
		{"another one", func() error { w.write("own", ""); return nil }},
		{"a file came that is included", func() error { w.write("d/other", ""); return nil }},
		{"a file read went", func() error { return os.Remove(inner) }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		now := must(t, w.in).Stamp()
		if now == last {
			t.Errorf("%s: the stamp is the same", step.what)
		}
		last = now
	}
	w.write("unrelated", "")
	if now := must(t, w.in).Stamp(); now != last {
		t.Error("an unrelated file changes the stamp")
	}
}

func TestStampOfNoFile(t *testing.T) {
	w := person(t, "", nil)
	w.in.ConfigFile = "none"
	if must(t, w.in).Stamp() == "" {
		t.Error("empty")
	}
}
