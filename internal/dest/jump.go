package dest

import (
	"fmt"
	"strconv"
	"strings"

	"muxd/control"
	"muxd/internal/getopt"
	"muxd/internal/sshconf"
)

// maxHops bounds a chain of jump hosts. The configuration of a hop may name
// further hops, so a chain may go in circles.
const maxHops = 8

// resolveVia finds the last jump host of a destination, with the way to it. As
// in ssh a hop has its own configuration, from the same file, and gets of the
// command line only what the list of hops says of it (ssh.c, where ProxyJump
// becomes a command line).
func (r *Resolver) resolveVia(conf *sshconf.Config, c *commandLine, v *control.Invocation, depth int) (*Destination, error) {
	jumps := conf.ProxyJump()
	if len(jumps) == 0 {
		return nil, nil
	}
	if depth >= maxHops {
		return nil, fmt.Errorf("more than %d jump hosts in a chain", maxHops)
	}
	for _, j := range jumps {
		err := getopt.ValidHost(j.Host)
		if err == nil {
			err = getopt.ValidUser(j.User)
		}
		if err != nil {
			return nil, fmt.Errorf("jump host: %w", err)
		}
	}
	last := jumps[len(jumps)-1]
	hop := &commandLine{isHop: true, configFile: c.configFile, dir: c.dir, home: c.home, run: c.run, lookup: c.lookup}
	if last.User != "" {
		hop.set("User", last.User)
	}
	if last.Port != 0 {
		hop.set("Port", strconv.Itoa(last.Port))
	}
	if rest := jumps[:len(jumps)-1]; len(rest) > 0 {
		hop.set("ProxyJump", joinJumps(rest))
	}
	d, err := r.destination(last.Host, last.Host, hop, v, "", depth+1)
	if err != nil {
		return nil, fmt.Errorf("jump host %s: %w", last.Host, err)
	}
	d.Batch = d.Batch || conf.BatchMode()
	return d, nil
}

// joinJumps writes hops as ProxyJump has them: it will be read, and its tokens
// expanded, once more.
func joinJumps(jumps []sshconf.Jump) string {
	var b strings.Builder
	for i, j := range jumps {
		if i > 0 {
			b.WriteByte(',')
		}
		user := strings.ReplaceAll(j.User, "%", "%%")
		if strings.Contains(user, ",") { // only a URI can hold it, and a URI no IPv6 address
			b.WriteString("ssh://")
			user = escapeUser(user)
		}
		if user != "" {
			b.WriteString(user + "@")
		}
		if strings.Contains(j.Host, ":") {
			b.WriteString("[" + strings.ReplaceAll(j.Host, "%", "%%") + "]")
		} else {
			b.WriteString(strings.ReplaceAll(j.Host, "%", "%%"))
		}
		if j.Port != 0 {
			b.WriteString(":" + strconv.Itoa(j.Port))
		}
	}
	return b.String()
}

// escapeUser writes a user's name as a URI has it: one that holds an @, a
// percent sign or a comma would otherwise be read as something else.
func escapeUser(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
