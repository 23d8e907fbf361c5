package master

import (
	"context"

	"muxd/control"
	"muxd/internal/dest"
)

// Resolve implements control.Backend.
func (m *Master) Resolve(ctx context.Context, v *control.Invocation, p control.Prompter) (*control.Plan, error) {
	if p == nil {
		p = nobody{}
	}
	r := m.resolver()
	return r.Resolve(ctx, v, p)
}

func (m *Master) resolver() dest.Resolver {
	return dest.Resolver{Home: m.cfg.Home, User: m.cfg.User, Lookup: m.cfg.Lookup,
		Door: m.cfg.Door, DoorDir: m.cfg.DoorDir,
		UserFile: m.cfg.UserFile, SystemFile: m.cfg.SystemFile, OwnFile: m.cfg.OwnFile}
}
