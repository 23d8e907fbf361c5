package master

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/dest"
)

// doctor says what is known of a host's health, one finding a line, in the form
// of control.Finding.
func (m *Master) doctor(d *dest.Destination) string {
	var b strings.Builder
	for _, f := range m.findings(d) {
		f.Text = d.Name + ": " + f.Text
		b.WriteString(f.String())
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (m *Master) findings(d *dest.Destination) []control.Finding {
	var st control.HostStatus
	if h := m.lookup(d); h != nil {
		st = h.status()
	}
	all := []control.Finding{stateOf(d, &st)}
	if st.State == "" {
		all = append(all, m.namesakes(d)...)
	}
	for i := range st.Links {
		l := &st.Links[i]
		all = append(all, control.Finding{Text: fmt.Sprintf("logged in by %s to %s (%s)", l.Auth, l.Remote, strings.TrimPrefix(l.Server, "SSH-2.0-"))})
	}
	if text := decisions(d); text != "" {
		all = append(all, control.Finding{Text: text})
	}
	if st.KeepWarmLearned && st.KeepWarm > 0 && st.KeepWarm < alive.UnsetInterval {
		all = append(all, control.Finding{Level: control.FindingNote,
			Text: fmt.Sprintf("something on the way forgets a connection that is idle for long: it is used every %v (learned)", st.KeepWarm),
			Cure: "muxd reconnect --forget " + d.Name + " forgets that; KeepWarm sets it"})
	}
	if n := m.sessionLimit(d, &st); n > 0 {
		all = append(all, control.Finding{Text: fmt.Sprintf("the server takes %s on a connection (learned from its refusal); more wait in line, or go to a further connection",
			map[bool]string{true: "one session", false: fmt.Sprintf("%d sessions", n)}[n == 1]),
			Cure: "MaxSessions in /etc/ssh/sshd_config there raises that, muxd reconnect --forget " + d.Name + " forgets it"})
	}
	for i := range st.Forwards {
		if f := &st.Forwards[i]; f.State == control.ForwardDegraded {
			all = append(all, control.Finding{Level: control.FindingProblem, Text: f.String() + " does not listen: " + f.LastErr,
				Cure: "free its address, or muxc -O cancel " + f.String() + " " + d.Name})
		}
	}
	return append(all, afterSleep(d, &st), control.Finding{Level: control.FindingNote,
		Text: "a session whose client is gone is told to end as well as TCP allows; across a dead path nothing reaches the server, and only the server can end it",
		Cure: "ClientAliveInterval 30 and ClientAliveCountMax 10 in /etc/ssh/sshd_config there"})
}

// sessionLimit is how many sessions the server was seen to take on a connection, 0
// while it refused none: also where no connection is at the moment.
func (m *Master) sessionLimit(d *dest.Destination, st *control.HostStatus) int {
	if st.State != "" {
		return st.Limit
	}
	return m.cfg.Learned.SessionLimit(d.Key)
}

// namesakes are the hosts that were asked for by the same name and are others:
// with an -F, or options that change who logs in or where. Who asks for one of
// them in its shorter form should not take it for gone.
func (m *Master) namesakes(d *dest.Destination) []control.Finding {
	var all []control.Finding
	for _, h := range m.all() {
		if o := h.destination(); o.Name == d.Name && o.Key != d.Key {
			all = append(all, control.Finding{Level: control.FindingNote,
				Text: fmt.Sprintf("asked for with another configuration or other options the name is another host, %s@%s, which is %s", o.User, o.Addr(), h.status().State),
				Cure: "muxd doctor -F FILE " + d.Name + ", with the file that muxc was given; muxd doctor without a host is about all of them"})
		}
	}
	slices.SortFunc(all, func(a, b control.Finding) int { return strings.Compare(a.Text, b.Text) })
	return all
}

// stateOf is how the connection stands, and what a person can do about it.
func stateOf(d *dest.Destination, st *control.HostStatus) control.Finding {
	f := control.Finding{Text: "no connection, and nobody wants one"}
	switch st.State {
	case Ready.String():
		f.Text = "connected"
	case Blocked.String():
		f.Level, f.Text, f.Cure = control.FindingProblem, "blocked: "+st.LastErr, "muxc "+d.Name+" tries again and asks you what it has to"
	case Waiting.String(), Suspect.String(), Connecting.String():
		f.Level, f.Text = control.FindingNote, st.State
		if st.LastErr != "" {
			f.Text += ": " + st.LastErr
		}
		if !st.Next.IsZero() {
			f.Cure = "muxd reconnect " + d.Name + " tries now instead of at " + st.Next.Format(time.TimeOnly)
		}
	}
	return f
}

// decisions are the lines of the configuration that decided about where the
// connection leads, who logs in and how long it is kept.
func decisions(d *dest.Destination) string {
	if d.Conf == nil {
		return ""
	}
	matter := []string{"hostname", "user", "port", "proxyjump", "proxycommand", "identityfile", "identityagent", "identitiesonly",
		"userknownhostsfile", "serveraliveinterval", "serveralivecountmax", "controlpersist", "controlpath", "pinned", "keepwarm", "waitforready", "maxconnections",
		"maxlifetime", "share", "confirm", "audit", "notifycommand"}
	var said []string
	for _, name := range d.Conf.Decided() {
		if values, _ := d.Conf.Get(name); slices.Contains(matter, name) {
			said = append(said, fmt.Sprintf("%s %s (%s)", name, control.CleanLine(strings.Join(values, " ")), d.Conf.Origin(name)))
		}
	}
	if len(said) == 0 {
		return ""
	}
	return "decided by the configuration: " + strings.Join(said, ", ")
}

// afterSleep says what becomes of the connection when the machine wakes.
func afterSleep(d *dest.Destination, st *control.HostStatus) control.Finding {
	text := "after sleep or in a new network it has to prove that it lives, and is replaced where it cannot"
	switch {
	case st.Persist == "no":
		text = "after sleep it comes back for a command that waits, and not by itself: ControlPersist is no"
	case st.Wanted == "pinned":
		text += "; it is Pinned, and comes back whatever happens"
	case st.Persist != "":
		text += fmt.Sprintf("; it comes back by itself where it was used within ControlPersist (%s)", st.Persist)
	}
	return control.Finding{Text: text}
}
