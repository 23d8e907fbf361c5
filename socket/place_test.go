package socket

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDirectory plants every object an attacker or an accident could leave in
// the directory's place, and asserts that neither side uses or changes it.
func TestDirectory(t *testing.T) {
	dirOf := func(mode os.FileMode) func(p Place) error {
		return func(p Place) error {
			return errors.Join(os.Mkdir(p.Dir, 0o700), os.Chmod(p.Dir, mode))
		}
	}
	target := func(p Place) string { return filepath.Dir(p.Dir) + "/target" }
	for _, tt := range []struct {
		name  string
		plant func(p Place) error
		root  bool   // needs root to plant
		want  string // in the error; "" means sound
	}{
		{"private", dirOf(0o700), false, ""},
		{"setgid parent", dirOf(0o700 | os.ModeSetgid), false, ""},
		{"group may search", dirOf(0o710), false, "mode 0710"},
		{"group may read", dirOf(0o750), false, "mode 0750"},
		{"group may write", dirOf(0o720), false, "mode 0720"},
		{"others may search", dirOf(0o701), false, "mode 0701"},
		{"world writable", dirOf(0o777), false, "mode 0777"},
		{"sticky is not private", dirOf(0o777 | os.ModeSticky), false, "mode 1777"},
		{"a stranger's, private", func(p Place) error {
			return errors.Join(os.Mkdir(p.Dir, 0o700), os.Chown(p.Dir, nobody, nobody))
		}, true, "owned by nobody (uid 65534)"},
		{"a stranger's, open", func(p Place) error {
			return errors.Join(os.Mkdir(p.Dir, 0o700), os.Chmod(p.Dir, 0o777), os.Chown(p.Dir, nobody, nobody))
		}, true, "owned by nobody (uid 65534)"},
		{"link to a private directory", func(p Place) error {
			return errors.Join(os.Mkdir(target(p), 0o700), os.Symlink(target(p), p.Dir))
		}, false, "a symbolic link"},
		{"link to a file", func(p Place) error {
			return errors.Join(os.WriteFile(target(p), nil, 0o600), os.Symlink(target(p), p.Dir))
		}, false, "a symbolic link"},
		{"dangling link", func(p Place) error { return os.Symlink(target(p), p.Dir) }, false, "a symbolic link"},
		{"file", func(p Place) error { return os.WriteFile(p.Dir, nil, 0o600) }, false, "is a file"},
		{"named pipe", func(p Place) error { return syscall.Mkfifo(p.Dir, 0o600) }, false, "a named pipe"},
		{"parent open to all", func(p Place) error {
			return errors.Join(os.Mkdir(p.Dir, 0o700), os.Chmod(filepath.Dir(p.Dir), 0o777))
		}, false, "not sticky"},
		{"parent open to all but sticky", func(p Place) error {
			return errors.Join(os.Mkdir(p.Dir, 0o700), os.Chmod(filepath.Dir(p.Dir), 0o777|os.ModeSticky))
		}, false, ""},
		{"parent of a group", func(p Place) error {
			return errors.Join(os.Mkdir(p.Dir, 0o700), os.Chmod(filepath.Dir(p.Dir), 0o775))
		}, false, ""},
		{"parent of a stranger", func(p Place) error {
			return errors.Join(os.Mkdir(p.Dir, 0o700), os.Chown(filepath.Dir(p.Dir), nobody, nobody))
		}, true, "owned by nobody (uid 65534), who could replace"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root {
				needRoot(t)
			}
			p := newPlace(t)
			ok(t, tt.plant(p))
			before := picture(t, filepath.Dir(p.Dir))
			for side, err := range map[string]error{"Check": p.Check(), "Prepare": p.Prepare()} {
				wantUnsound(t, side, err, tt.want)
			}
			if tt.want != "" {
				_, err := Dial(p)
				wantUnsound(t, "Dial", err, tt.want)
				_, err = Listen(p)
				wantUnsound(t, "Listen", err, tt.want)
				_, err = LockStart(p)
				wantUnsound(t, "LockStart", err, tt.want)
			}
			if after := picture(t, filepath.Dir(p.Dir)); after != before {
				t.Errorf("touched:\nbefore\n%safter\n%s", before, after)
			}
		})
	}
}

func wantUnsound(t *testing.T, side string, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v", side, err)
		}
		return
	}
	if _, is := errors.AsType[*UnsoundError](err); !is || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want an *UnsoundError with %q", side, err, want)
	}
}

// picture is the names and modes of all that is under dir.
func picture(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	ok(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			b.WriteString(fi.Mode().String() + " " + path + "\n")
		}
		return err
	}))
	return b.String()
}

func TestPrepareMakesWhatCheckOnlySeeks(t *testing.T) {
	p := newPlace(t)
	if err := p.Check(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Check of nothing: %v", err)
	}
	if _, err := Dial(p); !errors.Is(err, ErrNoServer) {
		t.Errorf("Dial to nothing: %v", err)
	}
	if _, err := os.Lstat(p.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the client's side made the directory: %v", err)
	}
	ok(t, p.Prepare())
	fi, err := os.Lstat(p.Dir)
	ok(t, err)
	if fi.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", fi.Mode())
	}
	ok(t, p.Check())
}

func TestPrepareMakesNoParent(t *testing.T) {
	p := newPlace(t)
	p.Dir += "/missing/d"
	if err := p.Prepare(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Prepare: %v", err)
	}
}

func TestPathAsText(t *testing.T) {
	long := "/" + strings.Repeat("d", maxPath)
	for _, tt := range []struct{ path, want string }{
		{"ctl", "not absolute"},
		{"./d/ctl", "not absolute"},
		{"/tmp/d/", "names no file"},
		{"/tmp/d/..", "names no file"},
		{"/tmp/" + strings.Repeat("n", maxName+1), "socket name"},
		{long[:maxPath-3] + "/ctl", "bytes and may have"},
		{"/a\x00b/ctl", "invalid argument"},
	} {
		for side, err := range map[string]error{"Check": At(tt.path).Check(), "Prepare": At(tt.path).Prepare()} {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s(%q): %v, want %q", side, tt.path, err, tt.want)
			}
		}
		if _, err := Dial(At(tt.path)); err == nil || errors.Is(err, ErrNoServer) {
			t.Errorf("Dial(%q): %v, which would start a muxd", tt.path, err)
		}
	}
}

func TestPathOfGreatestLength(t *testing.T) {
	p := newPlace(t)
	for len(p.Path()) < maxPath {
		p.Dir += strings.Repeat("d", min(100, maxPath-len(p.Path())))
	}
	l := listen(t, p)
	greet(t, l)
	mustGreet(t, p)
	p.Dir += "d"
	if _, err := Listen(p); err == nil || !strings.Contains(err.Error(), "MUXD_SOCKET") {
		t.Errorf("one byte more: %v", err)
	}
}
