package dest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"muxd/control"
	"muxd/control/controltest"
)

// rig is a Resolver with a home directory of its own.
type rig struct {
	Resolver
	t    *testing.T
	home string
	env  []string // of every client
}

// resolved runs f with a rig.
func resolved(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	f(t, &rig{t: t, home: home, Resolver: Resolver{Home: home, User: "me", SystemFile: filepath.Join(home, "none")}})
}

func (r *rig) write(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// plan resolves a command line; p nil is a client that runs nothing.
func (r *rig) plan(p *controltest.Person, args ...string) (*control.Plan, error) {
	if p == nil {
		p = silent()
	}
	return r.Resolve(context.Background(), &control.Invocation{Args: args, Dir: r.home, Env: r.env}, p)
}

func (r *rig) request(args ...string) *control.SessionRequest {
	r.t.Helper()
	plan, err := r.plan(nil, args...)
	if err != nil {
		r.t.Fatalf("resolve %q: %v", args, err)
	}
	return plan.Session
}

var wantError = controltest.WantError

// silent is a person who is told, and asked nothing: resolving has no question.
func silent() *controltest.Person {
	return controltest.Fails(errors.New("a question where none is to be asked"))
}
