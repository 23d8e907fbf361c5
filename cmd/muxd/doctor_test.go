package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muxd/control"
)

func TestDeadSockets(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "cm"), 0o700)
	for _, name := range []string{"live", "cm/dead", "dead"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		if l.SetUnlinkOnClose(false); name != "live" {
			l.Close()
		} else {
			defer l.Close()
		}
	}
	os.WriteFile(filepath.Join(dir, "config"), nil, 0o600)
	if got := deadSockets(dir); !slices.Equal(got, []string{filepath.Join(dir, "dead"), filepath.Join(dir, "cm/dead")}) {
		t.Errorf("%q", got)
	}
}

func TestDoctorConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	for _, want := range []string{"note", "ok"} {
		var d doctorJSON
		d.config(file)
		if len(d.Findings) != 1 || d.Findings[0].Level != want {
			t.Errorf("%+v", d.Findings)
		}
		os.WriteFile(file, []byte("Match final exec \""+sshMark+" -S x\"\n"), 0o600)
	}
}

func TestDoctorPrints(t *testing.T) {
	var d doctorJSON
	d.ok("fine")
	d.note("do this", "so %d", 1)
	d.add("box", control.Finding{Level: control.FindingProblem, Text: "broken"})
	var b strings.Builder
	d.print(&b, look{})
	if want := "  muxd: fine\n! muxd: so 1\n    → do this\n✗ box: broken\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
	d = doctorJSON{}
	d.note("rather do this than that", "no word is broken here")
	b.Reset()
	d.print(&b, look{width: 20})
	if want := "! muxd: no word is\n    broken here\n    → rather do\n      this than that\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
}
