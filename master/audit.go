package master

import (
	"path"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/proc"
	"muxd/internal/sshconf"
)

// audit writes a line into the log of a channel that is open or of one that was
// refused, where the configuration asks for that (Audit): who wanted it, and what
// it is. A pid of 0 is nobody here: a connection that came to a forward, or what
// the server opened; from then says where it came from.
func (m *Master) audit(d *dest.Destination, kind, what string, pid int, from string, refused error) {
	if d.Conf.Audit() != sshconf.Yes {
		return
	}
	args := []any{"host", d.Name, "login", d.User + "@" + d.Addr(), "kind", kind, "what", control.CleanLine(what)}
	if pid > 0 {
		args = append(args, "client", pid, "by", who(pid))
	}
	if from != "" {
		args = append(args, "from", from)
	}
	if refused != nil {
		m.cfg.Log.Info("audit: channel refused", append(args, "why", withoutHost(refused))...)
		return
	}
	m.cfg.Log.Info("audit: channel", args...)
}

// who is a process and the one that started it, by their programs' names, as far
// as the system shows them.
func who(pid int) string {
	name := program(pid)
	if parent := proc.Parent(pid); parent > 1 {
		if by := program(parent); by != "" {
			name += " of " + by
		}
	}
	return name
}

func program(pid int) string {
	args := proc.Args(pid)
	if len(args) == 0 {
		return ""
	}
	return control.CleanLine(path.Base(args[0]))
}
