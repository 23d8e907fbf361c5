package master

import (
	"net"
	"path"
	"strconv"

	"golang.org/x/crypto/ssh"

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

// opening is what a channel that the server opens is for, and where it comes from,
// as the server says (RFC 4254 sections 6.3.2 and 7.2).
func opening(c ssh.NewChannel) (what, from string) {
	var to struct {
		Host string
		Port uint32
		Rest []byte `ssh:"rest"`
	}
	var peer struct {
		Host string
		Port uint32
	}
	rest := c.ExtraData()
	switch c.ChannelType() {
	case "forwarded-tcpip":
		if ssh.Unmarshal(rest, &to) == nil {
			what, rest = net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))), to.Rest
		}
	case "forwarded-streamlocal@openssh.com":
		var m struct{ Path, Reserved string }
		ssh.Unmarshal(rest, &m)
		return m.Path, "the server"
	}
	if ssh.Unmarshal(rest, &peer) != nil || peer.Host == "" {
		return what, "the server"
	}
	return what, "the server, for " + control.CleanLine(net.JoinHostPort(peer.Host, strconv.Itoa(int(peer.Port))))
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
