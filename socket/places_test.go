package socket

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

func TestPlaces(t *testing.T) {
	uid := strconv.Itoa(os.Geteuid())
	private, open := t.TempDir(), t.TempDir()
	ok(t, os.Chmod(private, 0o700))
	ok(t, os.Chmod(open, 0o755))
	link := t.TempDir() + "/link"
	ok(t, os.Symlink(private, link))

	std := []string{"/tmp/muxd-" + uid + "/ctl"}
	if runUser != "" {
		std = slices.Insert(std, 0, runUser+uid+"/muxd/ctl")
	}
	for _, tt := range []struct {
		name string
		env  []string
		want []string // before the state directory's
	}{
		{"nothing set", nil, std},
		{"runtime directory", []string{"XDG_RUNTIME_DIR", private}, append([]string{private + "/muxd/ctl"}, std...)},
		{"a link to it, as systems have them", []string{"XDG_RUNTIME_DIR", link}, append([]string{link + "/muxd/ctl"}, std...)},
		{"runtime directory open to others", []string{"XDG_RUNTIME_DIR", open}, std},
		{"runtime directory missing", []string{"XDG_RUNTIME_DIR", private + "/no"}, std},
		{"runtime directory relative", []string{"XDG_RUNTIME_DIR", "."}, std},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.env = append(tt.env, "XDG_STATE_HOME", "/st")
			got := paths(Places(env(tt.env...)))
			last := got[len(got)-1]
			if !slices.Equal(got[:len(got)-1], tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if !regexp.MustCompile(`^/st/muxd-[0-9a-f]{12}/ctl$`).MatchString(last) {
				t.Errorf("state directory: %q", last)
			}
		})
	}
}

func paths(ps []Place) (list []string) {
	for _, p := range ps {
		list = append(list, p.Path())
	}
	return list
}

func TestMUXDSocketStandsAlone(t *testing.T) {
	path := t.TempDir() + "/no/d/y.sock"
	getenv := env("MUXD_SOCKET", path, "XDG_RUNTIME_DIR", t.TempDir())
	if got := Places(getenv); len(got) != 1 || got[0].Path() != path || got[0].LockPath() != path+".lock" {
		t.Errorf("got %+v", got)
	}
	if _, err := Choose(getenv); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Choose went on after %v", err)
	}
}

func TestRuntimeDirOfAnotherUser(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	ok(t, errors.Join(os.Chmod(dir, 0o700), os.Chown(dir, nobody, nobody)))
	for _, p := range Places(env("XDG_RUNTIME_DIR", dir)) {
		if filepath.Dir(p.Dir) == dir {
			t.Errorf("%s is a place, though it is another user's", p.Dir)
		}
	}
}

func TestStatePlaceIgnoresHOME(t *testing.T) {
	home := homeOf(uint32(os.Geteuid()))
	if home == "" {
		t.Skip("this user is not in the password database")
	}
	p, found := statePlace(env("HOME", "/elsewhere", "XDG_STATE_HOME", "relative"))
	if !found || filepath.Dir(p.Dir) != home+"/.local/state" || p.anchor != home {
		t.Errorf("got %+v", p)
	}
}

func TestAnchor(t *testing.T) {
	home := t.TempDir()
	p := Place{Dir: home + "/.local/state/muxd-1", Name: socketName, anchor: home}
	ok(t, p.Prepare())
	p = Place{Dir: home + "/gone/.local/state/muxd-1", Name: socketName, anchor: home + "/gone"}
	if err := p.Prepare(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Prepare under a home that is not there: %v", err)
	}
	if _, err := os.Lstat(home + "/gone"); err == nil {
		t.Error("a missing home was made")
	}
}

func TestChoose(t *testing.T) {
	missing, long, sound, bad, spare := newPlace(t), newPlace(t), newPlace(t), newPlace(t), newPlace(t)
	missing.Dir += "/no/d"
	long.Dir += string(make([]byte, maxPath))
	ok(t, os.Mkdir(bad.Dir, 0o700))
	ok(t, os.Chmod(bad.Dir, 0o750))

	for _, tt := range []struct {
		name string
		from []Place
		want Place // zero: refused
	}{
		{"the first", []Place{sound, spare}, sound},
		{"past what is missing or too long", []Place{missing, long, sound, spare}, sound},
		{"not past the unsound", []Place{bad, sound}, Place{}},
		{"sound before unsound", []Place{sound, bad}, sound},
		{"none", []Place{missing, long}, Place{}},
	} {
		got, err := choose(slices.Values(tt.from))
		if got != tt.want || (err != nil) != (tt.want == Place{}) {
			t.Errorf("%s: %v, %v", tt.name, got.Path(), err)
		}
		_, is := errors.AsType[*UnsoundError](err)
		if is != (tt.name == "not past the unsound") {
			t.Errorf("%s: error %v", tt.name, err)
		}
	}
	if _, err := os.Lstat(spare.Dir); err == nil {
		t.Error("Choose made a directory it did not choose")
	}
}
