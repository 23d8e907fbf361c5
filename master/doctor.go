package master

import (
	"fmt"
	"strings"

	"muxd/internal/dest"
)

// doctor says what is known of a host's health, and what only its server can
// mend.
func (m *Master) doctor(d *dest.Destination) string {
	var b strings.Builder
	state, err := Idle.String(), ""
	if h := m.lookup(d); h != nil {
		st := h.status()
		state, err = st.State, st.LastErr
	}
	fmt.Fprintf(&b, "%s: %s", d.Name, state)
	if err != "" {
		fmt.Fprintf(&b, " (%s)", err)
	}
	b.WriteString(`
  A session whose client is gone is told to end as well as TCP allows. Across a
  dead path nothing reaches the server, and only the server can end it. In
  /etc/ssh/sshd_config there:
    ClientAliveInterval 30
    ClientAliveCountMax 10
    TCPKeepAlive yes`)
	return b.String()
}
