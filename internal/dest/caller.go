package dest

import (
	"path/filepath"
	"slices"
	"strings"

	"muxd/control"
	"muxd/internal/getopt"
	"muxd/internal/proc"
	"muxd/internal/sshconf"
)

// caller is the command line of the ssh whose Match exec runs -O prepare. What
// was typed there decides about the connection, and does not come along by
// itself.
type caller struct {
	line *getopt.CommandLine
	dir  string // its working directory
}

// callerOf finds it above the client; nil where this system does not show it, or
// where a person runs -O prepare.
func callerOf(pid int) *caller {
	for range 3 { // a shell or two between
		if pid = proc.Parent(pid); pid <= 1 {
			return nil
		}
		args := proc.Args(pid)
		if len(args) == 0 || filepath.Base(args[0]) != "ssh" {
			continue
		}
		if line, err := getopt.ParseSSH(args[1:]); err == nil {
			return &caller{line, proc.Dir(pid)}
		}
		return nil
	}
	return nil
}

// asksOnly reports a caller that makes no connection: -G and -Q.
func (c *caller) asksOnly() bool {
	return slices.ContainsFunc(c.line.Options, func(o getopt.Option) bool { return o.Name == 'G' || o.Name == 'Q' })
}

// manages reports a caller that asks a master something (-O). It makes no login,
// and so none is made for it.
func (c *caller) manages() bool {
	return slices.ContainsFunc(c.line.Options, func(o getopt.Option) bool { return o.Name == 'O' })
}

// deciding are the options by which a person says which connection is meant, or
// that it is nobody else's.
const deciding = "46BFIJMSbcimw"

// decides are the keywords of that kind, beside those that make a connection
// another one.
var decides = append([]string{"identityfile", "certificatefile", "identityagent", "userknownhostsfile", "stricthostkeychecking",
	"hostname", "proxyusefdpass", "controlpath"}, keyed...)

// objection is an option of the caller's that decides which connection it means
// and that prepare was not given, "" if there is none.
func (c *caller) objection(own *getopt.CommandLine) string {
	for _, o := range c.line.Options {
		name := string(rune(o.Name))
		switch {
		case slices.Contains(own.Options, o), o.Name == 'F' && slices.Contains(own.Options, getopt.Option{Name: 'F', Value: absolute(c.dir, o.Value)}):
			continue
		case strings.Contains(deciding, name):
			return "-" + name
		case o.Name != 'o':
			continue
		}
		s, err := sshconf.ParseOption(o.Value)
		if err != nil {
			return o.Value // ssh complains of it
		}
		k := strings.ToLower(s.Keyword)
		if slices.Contains(decides, k) || k == "controlmaster" && !strings.EqualFold(s.Value, "no") {
			return "-o " + s.Keyword
		}
	}
	return ""
}

// batch reports a caller that may ask nobody.
func (c *caller) batch() bool {
	return slices.ContainsFunc(c.line.Options, func(o getopt.Option) bool {
		s, err := sshconf.ParseOption(o.Value)
		return o.Name == 'o' && err == nil && strings.EqualFold(s.Keyword, "batchmode") && strings.EqualFold(s.Value, "yes")
	})
}

// prepare is -O prepare: the connection is made, so that what must be asked is
// asked on this terminal, and the path is served from then on. Where it is not,
// ssh goes its own way, and says by itself what is wrong; so without a terminal
// nothing is said here.
func (r *Resolver) prepare(plan *control.Plan, line *getopt.CommandLine, d *Destination, v *control.Invocation) {
	path := controlPath(d.Conf, v)
	by := callerOf(v.PID)
	no := func(text string) {
		plan.Text, plan.Code = []byte(text), 1
		if !v.TTY[2] || text != "" && by != nil {
			plan.Text = []byte{}
		}
	}
	switch {
	case by != nil && by.asksOnly():
		plan.Text = []byte{} // the path is to be seen, and nothing to be done
		return
	case d.Alone != "":
		no("muxc: -O prepare: " + d.Name + ": Share is no, each client has a connection of its own\n")
		return
	case path == "":
		no("muxc: -O prepare needs the ControlPath to be served: -S path\n")
		return
	case r.DoorDir == "" || filepath.Dir(path) != r.DoorDir:
		no("muxc: -O prepare serves paths in " + r.DoorDir + ", and " + path + " is not one\n")
		return
	case by != nil && by.manages():
		if served := r.served(path); served == nil || !d.Same(served) {
			no("")
		} else {
			plan.Text = []byte{}
		}
		return
	case by != nil && by.objection(line) != "":
		no("")
		return
	}
	if by != nil && by.batch() {
		d.Batch = true
	}
	plan.Listen = d.listen(path, v)
	plan.Listen.Shared, plan.Listen.Stay = true, true
	plan.Quiet = plan.Quiet || !v.TTY[2]
	plan.Hold, plan.Detach, plan.StdinNull = &control.HoldRequest{Dest: d, PID: v.PID}, true, true
}

// served is the destination for which a path is served, nil for none.
func (r *Resolver) served(path string) control.Destination {
	if r.Door == nil {
		return nil
	}
	return r.Door(path)
}
