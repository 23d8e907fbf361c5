package master

import (
	"context"

	"muxd/control"
	"muxd/internal/contain"
	"muxd/internal/dest"
)

// Resolve implements control.Backend.
func (m *Master) Resolve(ctx context.Context, v *control.Invocation, p control.Prompter) (*control.Plan, error) {
	if p == nil {
		p = nobody{}
	}
	var plan *control.Plan
	err := contain.Do(m.cfg.Log.Error, "reading the configuration", func() (err error) {
		r := m.resolver()
		plan, err = r.Resolve(ctx, v, p)
		return err
	})
	return plan, err
}

func (m *Master) resolver() dest.Resolver {
	return dest.Resolver{Home: m.cfg.Home, User: m.cfg.User, Lookup: m.cfg.Lookup,
		Door: m.cfg.Door, DoorDir: m.cfg.DoorDir,
		UserFile: m.cfg.UserFile, SystemFile: m.cfg.SystemFile, OwnFile: m.cfg.OwnFile}
}
