// Package top is the live view of muxd: what muxd status says, drawn again each
// second, with what it was before as curves, and a few keys. The model is pure:
// samples of the status, keys and the terminal's size come as messages, each
// with the time that it is about, and a frame is a function of them.
//
// It refuses to know how muxd is asked: that is the Source's, so that a frame
// can be tested without a process, and a muxd that ends and comes back is one
// more sample.
package top

import (
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"muxd/control"
)

// every is the pause between an answer and the next question: what a person can
// follow, and nothing that muxd notices.
const every = time.Second

// Action is what a key has done to a host.
type Action string

// The actions.
const (
	Reconnect Action = "reconnect" // an attempt now
	Recycle   Action = "recycle"   // a new connection, and no session cut
	Stop      Action = "stop"      // the connection's end, and that of its sessions
)

// Source is the running muxd. Its methods may take their time: they are called
// beside the view, Look never twice at once.
type Source interface {
	Look() Sample
	Act(a Action, h control.HostStatus) Done
}

// Sample is the status at one moment, or why there is none.
type Sample struct {
	At     time.Time
	Status *control.Status
	Err    error
}

// Done is what came of an action.
type Done struct {
	Text string
	Err  error
}

// Model is the view's state. Update returns the next one and changes nothing
// that the last one shows, but for the curves, which both share.
type Model struct {
	source        Source
	colour        bool
	width, height int

	at       time.Time
	status   *control.Status // the newest; never nil
	err      error           // why there is none now
	past     map[string]*past
	selected string // the ID of a host; "" while there was none
	asking   Action // a person is to confirm it; "" for none
	busy     int    // actions under way
	said     string // what the last one came to
	failed   bool   // and whether that is bad
}

// New returns a view that knows nothing yet.
func New(s Source, colour bool) Model {
	return Model{source: s, colour: colour, width: 80, height: 24, status: new(control.Status), past: map[string]*past{}}
}

type again struct{} // it is time to look again

// Init implements tea.Model.
func (m Model) Init() tea.Cmd { return m.look }

func (m Model) look() tea.Msg { return m.source.Look() }

// Update implements tea.Model.
func (m Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case Sample:
		m.take(msg)
		return m, tea.Tick(every, func(time.Time) tea.Msg { return again{} })
	case again:
		return m, m.look
	case Done:
		m.busy--
		m.said, m.failed = msg.Text, msg.Err != nil
		if msg.Err != nil {
			m.said = msg.Err.Error()
		}
	case tea.KeyPressMsg:
		return m.key(msg.String())
	}
	return m, nil
}

// take notes a sample.
func (m *Model) take(s Sample) {
	m.at, m.err = s.At, s.Err
	m.status = s.Status
	if s.Status == nil {
		m.status = new(control.Status)
	}
	seen := map[string]bool{}
	for i := range m.status.Hosts {
		h := &m.status.Hosts[i]
		key := h.ID
		if m.past[key] == nil {
			m.past[key] = new(past)
		}
		m.past[key].add(s.At, h)
		seen[key] = true
	}
	for key, p := range m.past {
		if !seen[key] && p.gap(s.At) {
			delete(m.past, key)
		}
	}
	if at := m.index(); at < 0 && len(m.status.Hosts) > 0 {
		m.selected, m.asking = m.status.Hosts[0].ID, ""
	}
}

// index is where the selected host stands; -1 where it does not.
func (m *Model) index() int {
	for i := range m.status.Hosts {
		if m.status.Hosts[i].ID == m.selected {
			return i
		}
	}
	return -1
}

func (m Model) key(key string) (tea.Model, tea.Cmd) {
	if m.asking != "" && key != "ctrl+c" {
		a := m.asking
		if m.asking = ""; key == "y" {
			return m.act(a)
		}
		m.said, m.failed = "not done", false
		return m, nil
	}
	switch key {
	case "q", "esc", "ctrl+c":
		return m, tea.Quit
	case "ctrl+z":
		return m, tea.Suspend
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "home", "g":
		m.move(-len(m.status.Hosts))
	case "end", "G":
		m.move(len(m.status.Hosts))
	case "r":
		return m.act(Reconnect)
	case "c":
		return m.act(Recycle)
	case "s":
		if m.index() >= 0 {
			m.asking = Stop
		}
	}
	return m, nil
}

func (m *Model) move(by int) {
	n := len(m.status.Hosts)
	if n == 0 {
		return
	}
	m.selected = m.status.Hosts[min(max(0, m.index()+by), n-1)].ID
}

// act has the source do something to the selected host.
func (m Model) act(a Action) (tea.Model, tea.Cmd) {
	i := m.index()
	if i < 0 {
		return m, nil
	}
	h := m.status.Hosts[i]
	m.busy++
	m.said, m.failed = fmt.Sprintf("%s %s …", a, h.Name), false
	return m, func() tea.Msg { return m.source.Act(a, h) }
}
