package master

import (
	"fmt"
	"time"

	"muxd/control"
	"muxd/internal/dest"
)

// lock shuts the gate, or opens it again, for all hosts. What runs goes on, and
// connections are kept and come back: none of that opens a channel.
func (m *Master) lock(shut bool) *control.Managed {
	_, sessions := m.Links()
	e := control.Event{Time: time.Now(), Kind: control.EventMuxd, From: "unlocked", To: "locked"}
	var text string
	var changed bool
	if shut {
		changed = m.gate.Lock(e.Time)
		text = "muxd is locked: nothing new begins until muxd unlock"
		if !changed {
			text = fmt.Sprintf("muxd is locked, since %s", m.gate.Locked().Format(time.DateTime))
		}
		if sessions > 0 {
			text += fmt.Sprintf("; %s on", map[bool]string{true: "one session goes", false: fmt.Sprintf("%d sessions go", sessions)}[sessions == 1])
		}
	} else {
		e.From, e.To = e.To, e.From
		changed = m.gate.Unlock()
		text = "muxd is unlocked"
		if !changed {
			text = "muxd is not locked"
		}
	}
	if changed {
		m.cfg.Log.Info(e.To)
		m.events.tell(e, "")
	}
	return &control.Managed{Text: text}
}

// admit is the refusal of a request that begins, nil where it may go on.
func (m *Master) admit(d *dest.Destination) error {
	if err := m.gate.Request(); err != nil {
		return asControl(d.Name, control.NotDialled, err)
	}
	return nil
}

// enter is admit for a request that has its connection: meanwhile the gate may
// have been shut. Nothing was opened, and the same would happen again.
func (m *Master) enter(d *dest.Destination) (leave func(), err error) {
	if leave, err = m.gate.Enter(); err != nil {
		return nil, asControl(d.Name, control.Refused, err)
	}
	return leave, nil
}
