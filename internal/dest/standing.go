package dest

import (
	"context"

	"muxd/control"
	"muxd/internal/sshconf"
)

// Standing calls each with the forwards that are to stand from the start: those
// of the destinations that muxd's own file names in full and for which it says
// StickyForward yes. Env is the environment that muxd was started with, on which
// the place of that file depends. A destination that cannot be resolved without
// a client is told with its error; the name is empty where the file cannot be
// read at all.
func (r *Resolver) Standing(ctx context.Context, env []string, p control.Prompter, each func(name string, f *control.ForwardRequest, err error)) {
	v := &control.Invocation{Dir: "/", Env: env}
	file := r.OwnFile
	if file == "" {
		file = ownFile(r.Home, v)
	}
	names, err := sshconf.Hosts(file)
	if err != nil {
		each("", nil, err)
		return
	}
	for _, name := range names {
		own := *v
		own.Args = []string{"-N", "--", name}
		plan, err := r.Resolve(ctx, &own, p)
		switch {
		case err != nil:
			each(name, nil, err)
		case plan.Forward != nil && plan.Forward.Sticky:
			each(name, plan.Forward, nil)
		}
	}
}
