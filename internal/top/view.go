package top

import (
	"fmt"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"

	"muxd/control"
	"muxd/internal/table"
)

// View implements tea.Model.
func (m Model) View() tea.View {
	v := tea.NewView(m.Frame())
	v.AltScreen = true
	v.WindowTitle = "muxd top"
	return v
}

// Frame is the screen as text: as many lines as it has, or fewer, and none that
// is wider.
func (m Model) Frame() string {
	lines := m.head()
	foot := m.foot()
	room := m.height - len(lines) - len(foot)
	if len(m.status.Hosts) == 0 {
		lines = append(lines, table.Faint.Paint(table.Cut(m.nothing(), m.width), m.colour))
	} else {
		hosts := m.hosts(max(2, min(len(m.status.Hosts)+1, room/2)))
		lines = append(lines, hosts...)
		lines = append(lines, m.details(room-len(hosts))...)
	}
	for len(lines) < m.height-len(foot) {
		lines = append(lines, "")
	}
	lines = append(lines[:min(len(lines), max(0, m.height-len(foot)))], foot...)
	return strings.Join(lines[:min(len(lines), max(1, m.height))], "\n")
}

func (m *Model) head() []string {
	st := m.status
	if m.err != nil || st.PID == 0 {
		return []string{table.Strong.Paint(table.Cut("muxd top", m.width), m.colour)}
	}
	sessions := 0
	for i := range st.Hosts {
		sessions += len(st.Hosts[i].Sessions)
	}
	left := table.Cut(control.CleanLine(fmt.Sprintf("muxd %s, pid %d, up %s, %s, %s", st.Build, st.PID, table.Age(m.at, st.Started),
		count(len(st.Hosts), "host"), count(sessions, "session"))), m.width)
	line := table.Strong.Paint(left, m.colour)
	if clock := m.at.Format("15:04:05"); table.Width(left)+2+len(clock) <= m.width {
		line += strings.Repeat(" ", m.width-table.Width(left)-len(clock)) + table.Faint.Paint(clock, m.colour)
	}
	lines := []string{line}
	for _, text := range table.Refusing(st, m.at) {
		lines = append(lines, table.Bad.Paint(table.Cut(text, m.width), m.colour))
	}
	return lines
}

// nothing is what there is to say where there are no hosts.
func (m *Model) nothing() string {
	switch {
	case m.err != nil:
		return control.CleanLine(m.err.Error()) + "; waiting for it"
	case m.at.IsZero():
		return "asking muxd"
	}
	return "no connections: muxc HOST makes one"
}

// foot is what the last action came to, and the keys, or a question.
func (m *Model) foot() []string {
	ink := table.Plain
	if m.failed {
		ink = table.Bad
	}
	keys := table.Faint.Paint(table.Cut("↑↓ select  r reconnect  c recycle  s stop  q quit", m.width), m.colour)
	if i := m.index(); m.asking != "" && i >= 0 {
		h := &m.status.Hosts[i]
		question := control.CleanLine(fmt.Sprintf("%s %s with its %s? y/n", m.asking, h.Name, count(len(h.Sessions), "session")))
		keys = table.Bad.Paint(table.Cut(question, m.width), m.colour)
	}
	return []string{ink.Paint(table.Cut(control.CleanLine(m.said), m.width), m.colour), keys}
}

var columns = []table.Column{
	{Title: ""}, {Title: "HOST", Least: 8}, {Title: "STATE"}, {Title: "SESS", Rank: 7, Right: true}, {Title: "LAST", Rank: 5, Right: true},
	{Title: "RTT", Rank: 9, Right: true}, {Title: "", Rank: 3}, {Title: "IN/s", Rank: 8, Right: true}, {Title: "OUT/s", Rank: 8, Right: true}, {Title: "", Rank: 4},
}

// hosts is the table of hosts in so many lines, the selected one among them.
func (m *Model) hosts(lines int) []string {
	t := table.Table{Columns: columns}
	curve := min(max(10, (m.width-64)/2), 48)
	for i := range m.status.Hosts {
		t.Rows = append(t.Rows, m.row(&m.status.Hosts[i], curve))
	}
	all := t.Lines(m.width, m.colour)
	if lines--; len(t.Rows) > lines {
		first := min(max(0, m.index()-lines/2), len(t.Rows)-lines)
		return append(all[:1:1], all[1+first:1+first+lines]...)
	}
	return all
}

func (m *Model) row(h *control.HostStatus, curve int) []table.Cell {
	p := m.past[h.ID]
	mark, ink, last, rtt := "", table.Plain, "-", "-"
	if h.ID == m.selected {
		mark, ink = "›", table.Strong
	}
	if l := table.Link(h); l != nil {
		last = table.Age(m.at, l.LastByte)
	}
	if r := roundTrip(h); r > 0 {
		rtt = table.RoundTrip(r)
	}
	return []table.Cell{{Text: mark, Ink: ink}, {Text: h.Name, Ink: ink}, {Text: h.State, Ink: table.OfState(h.State)}, {Text: table.Sessions(h)},
		{Text: last}, {Text: rtt}, {Text: table.Spark(p.rtt, curve), Ink: table.Good, Own: true},
		{Text: rate(p.inRate)}, {Text: rate(p.outRate)}, {Text: table.Spark(p.rates, curve), Ink: table.Good, Own: true}}
}

func rate(v float64) string {
	if v < 0 {
		return "-"
	}
	return table.Size(int64(v))
}

// details are what the selected host carries, in so many lines.
func (m *Model) details(room int) []string {
	i := m.index()
	if i < 0 || room < 2 {
		return nil
	}
	h := &m.status.Hosts[i]
	var lines []string
	if room > 8 {
		lines = append(lines, "")
	}
	lines = append(lines, m.folded(m.summary(h), 0, table.Strong)...)
	if text := table.LastTry(h, m.at); text != "" {
		lines = append(lines, m.folded(text, 0, table.OfState(h.State).Unless(table.Good))...)
	}
	var forwards []string
	for f := range h.Forwards {
		forwards = append(forwards, m.folded(table.Forward(&h.Forwards[f], m.at), 0, table.OfState(h.Forwards[f].State).Unless(table.Good))...)
	}
	room -= len(lines)
	sessions := m.sessions(h)
	// Either may have what the other leaves, and half of it in any case.
	half := room / 2
	lines = append(lines, clip(sessions, max(room-len(forwards), half), m.width)...)
	return append(lines, clip(forwards, room-min(len(sessions), max(room-len(forwards), half)), m.width)...)
}

// clip keeps lines within so many, and says how many it left out.
func clip(lines []string, most, width int) []string {
	if len(lines) <= most {
		return lines
	}
	if most < 1 {
		return nil
	}
	return append(lines[:most-1:most-1], table.Cut(fmt.Sprintf("… %d more", len(lines)-most+1), width))
}

func (m *Model) folded(text string, indent int, ink table.Ink) []string {
	lines := table.Fold(text, m.width, indent)
	for i := range lines {
		lines[i] = ink.Paint(lines[i], m.colour)
	}
	return lines
}

// summary is who the host is and how it came to be connected.
func (m *Model) summary(h *control.HostStatus) string {
	text := fmt.Sprintf("%s: %s@%s, %s for %s", h.Name, h.User, h.Addr, h.State, table.Age(m.at, h.Since))
	if l := table.Link(h); l != nil {
		method, _, _ := strings.Cut(l.Auth, " ") // the key is told by muxd status --json
		text += fmt.Sprintf(", logged in %s ago by %s", table.Age(m.at, l.Since), method)
		if each := table.Connections(h); each != "" {
			text += ", " + each
		}
	}
	if h.Again > 0 {
		text += ", " + count(h.Again, "reconnect")
	}
	if h.Waiting > 0 {
		text += fmt.Sprintf(", %d waiting", h.Waiting)
	}
	return text
}

// sessions is the table of a host's sessions.
func (m *Model) sessions(h *control.HostStatus) []string {
	if len(h.Sessions) == 0 {
		return nil
	}
	t := table.Table{Columns: []table.Column{{Title: "PID", Right: true}, {Title: "FOR", Rank: 3, Right: true}, {Title: "KIND", Rank: 4}, {Title: "IN", Rank: 2, Right: true},
		{Title: "OUT", Rank: 2, Right: true}, {Title: "COMMAND", Least: 8}}}
	for i := range h.Sessions {
		s := &h.Sessions[i]
		kind, command := s.Kind, s.Command
		if s.TTY {
			kind += ", tty"
		}
		if command == "" {
			command = "-"
		}
		t.Rows = append(t.Rows, []table.Cell{{Text: strconv.Itoa(s.PID)}, {Text: table.Age(m.at, s.Since)}, {Text: kind},
			{Text: table.Size(s.In)}, {Text: table.Size(s.Out)}, {Text: command}})
	}
	return t.Lines(m.width, m.colour)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
