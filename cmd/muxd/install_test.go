package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"muxd/socket"
)

func TestSSHBlock(t *testing.T) {
	run := "/run/user/" + strconv.Itoa(os.Getuid())
	for dir, want := range map[string]string{run + "/muxd": "/run/user/%i/muxd/c/%C", "/tmp/muxd-7": "/tmp/muxd-7/c/%C"} {
		got := sshBlock(socket.Place{Dir: dir, Name: "ctl"}, "muxc")
		if got != "Match final exec \"muxc -O prepare -S "+want+" -l %r -p %p %n\"\n    ControlPath "+want+"\n" {
			t.Errorf("%s", got)
		}
	}
}

// The PATH of cron has no other directory than these two, and ssh would say there
// that muxc is not found.
func TestHowMuxcIsCalled(t *testing.T) {
	dir := t.TempDir()
	plain, odd := filepath.Join(dir, "bin"), filepath.Join(dir, "b%n")
	for _, d := range []string{plain, odd} {
		os.MkdirAll(d, 0o700)
		os.WriteFile(filepath.Join(d, "muxc"), []byte("#!/bin/sh\n"), 0o700)
	}
	for path, want := range map[string]string{plain: filepath.Join(plain, "muxc"), odd: "muxc", filepath.Join(dir, "none"): "muxc"} {
		t.Setenv("PATH", path)
		if got := calledMuxc(); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestAddBlock(t *testing.T) {
	dir := t.TempDir()
	defer unix.Umask(unix.Umask(0o077)) // as muxd sets it
	for before, after := range map[string]string{"-": "block " + sshMark + "\n", "Host a": "Host a\n\nblock " + sshMark + "\n", "Host a\n": "Host a\n\nblock " + sshMark + "\n"} {
		file := filepath.Join(dir, "ssh"+strconv.Itoa(len(before)), "config")
		os.MkdirAll(filepath.Dir(file), 0o700)
		if before != "-" {
			os.WriteFile(file, []byte(before), 0o640)
			os.Chmod(file, 0o640)
		}
		for range 2 { // the second time it is there
			if _, err := addBlock(file, "block "+sshMark+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		if b, _ := os.ReadFile(file); string(b) != after {
			t.Errorf("%q, want %q", b, after)
		}
		b, err := os.ReadFile(file + ".before-muxd")
		if before != "-" && string(b) != before || before == "-" && err == nil {
			t.Errorf("the backup is %q, %v", b, err)
		}
		if fi, _ := os.Stat(file); before != "-" && fi.Mode().Perm() != 0o640 {
			t.Errorf("mode %v", fi.Mode())
		}
	}
	link, file := filepath.Join(dir, "link"), filepath.Join(dir, "dotfiles")
	os.WriteFile(file, []byte("Host b\n"), 0o600)
	os.Symlink(file, link)
	if _, err := addBlock(link, sshMark+"\n"); err != nil {
		t.Fatal(err)
	}
	if fi, _ := os.Lstat(link); fi.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
}

// Lines that ssh would refuse, or read otherwise than muxd means them, are not
// written: every ssh of this user would fail.
func TestNoBlockForAnOddPlace(t *testing.T) {
	for name, ok := range map[string]bool{"muxd": true, "jürgen@x": true, "a b": false, "50%d": false, `q"x`: false, "$x": false, "it's": false, "a;b": false, "#x": false} {
		t.Setenv("MUXD_SOCKET", filepath.Join(t.TempDir(), name, "ctl"))
		if p, err := blockPlace(); (err == nil) != ok {
			t.Errorf("%s: %v", p.Dir, err)
		}
	}
}

// Somebody took the lines out of use: they are not there, and can be had again.
func TestBlockInAComment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	block := sshBlock(socket.Place{Dir: "/tmp/muxd-7", Name: "ctl"}, "/opt/bin/muxc")
	for _, before := range []string{"Host a\n", "# " + block, " \t#" + block} {
		os.WriteFile(file, []byte(before), 0o600)
		var d doctorJSON
		if d.config(file); d.Findings[0].Level != "note" {
			t.Errorf("%q: %+v", before, d.Findings)
		}
		if _, err := removeBlock(file, true); err != nil {
			t.Errorf("%q: %v", before, err)
		}
		for range 2 {
			if _, err := addBlock(file, block); err != nil {
				t.Fatal(err)
			}
		}
		if b, _ := os.ReadFile(file); string(b) != before+"\n"+block {
			t.Errorf("%q became %q", before, b)
		}
		if d.config(file); d.Findings[1].Level != "ok" {
			t.Errorf("%q: %+v", before, d.Findings)
		}
	}
}

// An editor that ends lines otherwise does not make the lines somebody's own.
func TestRemoveBlockOfAnEditor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	block := "\n" + sshBlock(socket.Place{Dir: "/tmp/muxd-7", Name: "ctl"}, "muxc")
	for _, text := range []string{"Host a\n" + block, "Host a\n" + block + "Host b\n"} {
		for _, ends := range []func(string) string{
			func(s string) string { return s },
			func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
			func(s string) string { return strings.TrimSuffix(s, "\n") },
		} {
			os.WriteFile(file, []byte(ends(text)), 0o600)
			if _, err := removeBlock(file, true); err != nil {
				t.Errorf("%q: %v", ends(text), err)
			}
			b, _ := os.ReadFile(file)
			if got := strings.ReplaceAll(string(b), "\r", ""); strings.TrimSuffix(got, "\n") != strings.TrimSuffix(strings.Replace(text, block, "", 1), "\n") {
				t.Errorf("%q became %q", ends(text), b)
			}
		}
	}
}
