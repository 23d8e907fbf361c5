package dest

import (
	"slices"
	"strings"
	"testing"

	"muxd/control"
)

// Every spelling of ssh's comes to what its listener and its connections need.
func TestForwards(t *testing.T) {
	const home = "/HOME" // stands for the client's directory
	tcp := func(host string, port int) control.Endpoint { return control.Endpoint{Host: host, Port: port} }
	unix := func(path string) control.Endpoint { return control.Endpoint{Path: path} }
	fwd := func(k control.ForwardKind, l, c control.Endpoint) control.Forward {
		return control.Forward{Kind: k, Listen: l, Connect: c}
	}
	L, R, D, S := control.ForwardLocal, control.ForwardRemote, control.ForwardDynamic, control.ForwardRemoteDynamic
	for _, c := range []struct {
		args string
		want []control.Forward
	}{
		{"-L 8080:db:5432", []control.Forward{fwd(L, tcp("localhost", 8080), tcp("db", 5432))}},
		{"-g -L 8080:db:5432", []control.Forward{fwd(L, tcp("*", 8080), tcp("db", 5432))}},
		{"-L :8080:db:5432", []control.Forward{fwd(L, tcp("*", 8080), tcp("db", 5432))}},
		{"-L *:8080:db:5432", []control.Forward{fwd(L, tcp("*", 8080), tcp("db", 5432))}},
		{"-g -L localhost:8080:db:5432", []control.Forward{fwd(L, tcp("localhost", 8080), tcp("db", 5432))}},
		{"-L [::1]:8080:[fe80::1]:5432", []control.Forward{fwd(L, tcp("::1", 8080), tcp("fe80::1", 5432))}},
		{"-L 8080:/run/db.sock", []control.Forward{fwd(L, tcp("localhost", 8080), unix("/run/db.sock"))}},
		{"-L /run/a:db:5432", []control.Forward{fwd(L, unix("/run/a"), tcp("db", 5432))}},
		{"-L ./a:./b", []control.Forward{fwd(L, unix(home+"/a"), unix("./b"))}},
		{"-D 1080", []control.Forward{fwd(D, tcp("localhost", 1080), control.Endpoint{})}},
		{"-D 192.0.2.1:1080", []control.Forward{fwd(D, tcp("192.0.2.1", 1080), control.Endpoint{})}},
		{"-R 0:localhost:22", []control.Forward{fwd(R, tcp("localhost", 0), tcp("localhost", 22))}},
		{"-g -R 2222:localhost:22", []control.Forward{fwd(R, tcp("localhost", 2222), tcp("localhost", 22))}},
		{"-R :2222:localhost:22", []control.Forward{fwd(R, tcp("*", 2222), tcp("localhost", 22))}},
		{"-R /run/a:./b", []control.Forward{fwd(R, unix("/run/a"), unix(home+"/b"))}},
		{"-R 1080", []control.Forward{fwd(S, tcp("localhost", 1080), control.Endpoint{})}},
		{"-R *:1080", []control.Forward{fwd(S, tcp("*", 1080), control.Endpoint{})}},
		// Local ones come first, as ssh sets them up.
		{"-R 1:a:2 -L 3:b:4 -D 5", []control.Forward{fwd(L, tcp("localhost", 3), tcp("b", 4)), fwd(D, tcp("localhost", 5), control.Endpoint{}), fwd(R, tcp("localhost", 1), tcp("a", 2))}},
		{"-o ClearAllForwardings=yes -L 3:b:4", nil},
	} {
		resolved(t, func(t *testing.T, r *rig) {
			plan, err := r.plan(nil, append(strings.Fields(c.args), "host", "true")...)
			if err != nil {
				t.Fatal(c.args, err)
			}
			var got []control.Forward
			if plan.Forward != nil {
				got = plan.Forward.Forwards
			}
			for i := range got {
				for _, e := range []*control.Endpoint{&got[i].Listen, &got[i].Connect} {
					e.Path = strings.Replace(e.Path, r.home, home, 1)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", c.args, got, c.want)
			}
		})
	}
}

// A client whose directory was removed has no relative paths; they are not
// muxd's, which are below /.
func TestForwardsWithoutADirectory(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for _, spec := range []string{"-L./sock:a:1", "-R1:./sock"} {
			plan, err := r.Resolve(t.Context(), &control.Invocation{Args: []string{spec, "host", "true"}, Env: r.env}, silent())
			if err != nil {
				t.Fatal(err)
			}
			f := plan.Forward.Forwards[0]
			if path := f.Listen.Path + f.Connect.Path; path != gone+"/sock" {
				t.Errorf("%s: %q", spec, path)
			}
		}
		file := strings.TrimPrefix(r.write("config", "User other\n"), "/")
		if plan, err := r.Resolve(t.Context(), &control.Invocation{Args: []string{"-F", file, "host", "true"}, Env: r.env}, silent()); err == nil {
			t.Errorf("a configuration below / was read: %+v", plan)
		}
	})
}

// Whose forwards are whose: of a window, of muxd, and of what -O names.
func TestForwardOwners(t *testing.T) {
	for _, c := range []struct {
		args   string
		sticky bool
		strict bool
		told   bool
		detach bool
		back   bool
	}{
		{"-L 1:a:2 host true", false, false, false, false, false},
		{"-N -L 1:a:2 host", false, false, true, false, false},
		{"-f -N -L 1:a:2 host", true, false, false, true, false},
		{"-S none -f -N -L 1:a:2 host", false, false, true, false, true},
		{"-S none -o StickyForward=yes -L 1:a:2 host true", false, false, false, false, false},
		{"-f -L 1:a:2 host true", false, false, false, false, true},
		{"-o StickyForward=yes -L 1:a:2 host true", true, false, false, false, false},
		{"-o ExitOnForwardFailure=yes -N -L 1:a:2 host", false, true, true, false, false},
	} {
		resolved(t, func(t *testing.T, r *rig) {
			plan, err := r.plan(nil, strings.Fields(c.args)...)
			if err != nil {
				t.Fatal(c.args, err)
			}
			f := plan.Forward
			if f.Sticky != c.sticky || f.Strict != c.strict || f.Told != c.told || plan.Detach != c.detach || plan.Background != c.back {
				t.Errorf("%s: %+v, %+v", c.args, plan, f)
			}
			if plan.Detach != (plan.Hold == nil && plan.Session == nil) {
				t.Errorf("%s: opens %+v", c.args, plan)
			}
		})
	}
}

// -O takes what was typed, and only where nothing was, what the files say.
func TestForwardsOfControl(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		configured := "-oLocalForward=1 a:2"
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{configured, "-O", "cancel", "-L", "3:b:4", "host"}, "[-L localhost:3:b:4]"},
			{[]string{configured, "-O", "cancel", "host"}, "[-L localhost:1:a:2]"},
			{[]string{configured, "-O", "forward", "-D", "5", "-R", "6:c:7", "host"}, "[-D localhost:5 -R localhost:6:c:7]"},
		} {
			plan, err := r.plan(nil, c.args...)
			if err != nil {
				t.Fatal(c.args, err)
			}
			var got []string
			for _, f := range plan.Manage.Forward.Forwards {
				got = append(got, f.String())
			}
			if text := "[" + strings.Join(got, " ") + "]"; text != c.want {
				t.Errorf("%q: %s, want %s", c.args, text, c.want)
			}
		}
		if plan, err := r.plan(nil, "-O", "forward", "host"); err != nil || plan.Manage.Forward != nil {
			t.Errorf("without a forward: %+v, %v", plan, err)
		}
	})
}

// What is to be lent comes from the client's environment and configuration.
func TestLent(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		r.env = []string{"SSH_AUTH_SOCK=/agent", "DISPLAY=:7", "OTHER=/other"}
		for _, c := range []struct {
			args, agent, display string
			trusted              bool
		}{
			{"host true", "", "", false},
			{"-A host true", "/agent", "", false},
			{"-o ForwardAgent=/named host true", "/named", "", false},
			{"-o ForwardAgent=$OTHER host true", "/other", "", false},
			{"-A -a host true", "", "", false},
			{"-A -o IdentityAgent=/mine host true", "/mine", "", false},
			{"-A -o IdentityAgent=none host true", "", "", false},
			{"-o ForwardAgent=/named -o IdentityAgent=/mine host true", "/named", "", false},
			{"-X host true", "", ":7", false},
			{"-Y host true", "", ":7", true},
			{"-Y -x host true", "", "", false},
		} {
			plan, err := r.plan(nil, strings.Fields(c.args)...)
			if err != nil {
				t.Fatal(c.args, err)
			}
			s := plan.Session
			if s.Agent != c.agent || (s.X11 != nil) != (c.display != "") || s.X11 != nil && (s.X11.Display != c.display || s.X11.Trusted != c.trusted) {
				t.Errorf("%s: %q, %+v", c.args, s.Agent, s.X11)
			}
		}
		r.env = nil
		if plan, _ := r.plan(nil, "-A", "-X", "host", "true"); plan.Session.Agent != "" || plan.Session.X11 != nil {
			t.Errorf("lent from an empty environment: %+v", plan.Session)
		}
	})
}
