package master

import (
	"context"

	"muxd/control"
	"muxd/internal/dest"
)

// Stand has the forwards stand that the configuration wants from the start, with
// the environment that muxd was started with. Connections are made as far as
// nobody has to be asked; a listener here stands whether there is one or not.
// What is wrong with one destination is logged, and costs the others nothing.
func (m *Master) Stand(ctx context.Context, env []string) {
	r := m.resolver()
	r.Standing(ctx, env, nobody{}, func(name string, f *control.ForwardRequest, err error) {
		if err == nil {
			err = m.stand(ctx, f)
		}
		if err != nil {
			m.cfg.Log.Warn("no forwards from the start", "host", name, "err", err)
		}
	})
}

func (m *Master) stand(ctx context.Context, r *control.ForwardRequest) error {
	h, err := m.host(r.Dest.(*dest.Destination))
	if err != nil {
		return err
	}
	defer m.unuse(h)
	for _, f := range r.Forwards {
		if _, err := h.forwards.Add(ctx, f, r.Options, h.sticky, true); err != nil {
			h.log.Warn("forward does not stand yet", "forward", f.String(), "err", err)
		}
	}
	h.look()
	return nil
}

// moveForwards has the forwards that stand without a client stand for the
// configuration as it is now. Those that a client wants too stay with it until
// it goes, and the new ones come then.
func (m *Master) moveForwards(old *host, d *dest.Destination) {
	kept := old.forwards.Sticky()
	if len(kept) == 0 {
		return
	}
	old.forwards.DropSticky()
	h, err := m.host(d)
	if err != nil {
		return
	}
	go func() { // it asks the server
		defer m.unuse(h)
		for _, k := range kept {
			h.forwards.AddKept(h.ctx, k, h.sticky)
		}
	}()
}
