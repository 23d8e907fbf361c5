package master

import (
	"context"

	"muxd/control"
	"muxd/internal/dest"
)

// Resolve implements control.Backend: what would ssh do with this command line?
func (m *Master) Resolve(ctx context.Context, v *control.Invocation, p control.Prompter) (*control.Plan, error) {
	if p == nil {
		p = nobody{}
	}
	r := dest.Resolver{Home: m.cfg.Home, User: m.cfg.User, Lookup: m.cfg.Lookup,
		UserFile: m.cfg.UserFile, SystemFile: m.cfg.SystemFile, OwnFile: m.cfg.OwnFile}
	return r.Resolve(ctx, v, p)
}
