package dest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"muxd/control"
	"muxd/internal/getopt"
	"muxd/internal/sshconf"
)

// What ControlPath means here. One on the command line was typed for this
// command: if a master listens there it has the connection that is meant, and
// since it is not muxd, muxc becomes ssh. "none" asks for a connection that
// nobody shares. One in a configuration says how ssh would share, which muxd
// does by itself; it changes nothing.

// masterWait bounds the look whether somebody listens on a ControlPath.
const masterWait = time.Second

// elsewhere returns the command line for ssh, if the connection that the
// command line names is in the hands of another master; nil if it is not.
//
// A master says hello to whoever connects (mux.c, mux_master_read_cb). One that
// is stopped, or something else that listens and says nothing, would have ssh
// wait for ever.
func (r *Resolver) elsewhere(ctx context.Context, c *commandLine, d *Destination, v *control.Invocation) ([]string, error) {
	path := controlPath(d.Conf, v)
	if !c.controlPath || path == "" || c.control == "prepare" || becomesMaster(d.Conf) && c.control == "" {
		return nil, nil
	}
	if r.Door != nil {
		if served := r.Door(path); served != nil {
			if d.Same(served) {
				return nil, nil // it is ours: this client need not take the second door
			}
			return forSSH(v.Args), nil // as in ssh, the path says which connection, and not the name
		}
	}
	dialer := net.Dialer{Timeout: masterWait}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, nil // nobody, as after the end of a master: muxd has or makes the connection
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	limit := d.ConnectLimit(DialTimeout)
	conn.SetReadDeadline(time.Now().Add(limit))
	_, err = conn.Read(make([]byte, 1))
	switch {
	case err == nil:
		return forSSH(v.Args), nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("ControlPath %s: whoever listens there said nothing for %v", path, limit)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, nil // a master that ends just now
}

// controlPath is the path, "" for none, as this client means it.
func controlPath(conf *sshconf.Config, v *control.Invocation) string {
	path := conf.ControlPath()
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(v.Dir, path)
}

// becomesMaster reports a configuration that does not look whether there is a
// master (mux.c, muxclient).
func becomesMaster(conf *sshconf.Config) bool {
	m := conf.ControlMaster()
	return m == "yes" || m == "ask"
}

// listens is the ControlPath that is served for ssh while this command runs, or
// for longer; nil if there is none. Where the configuration asks for it, one that
// is served already is as good; where -M was typed, it is an error, as in ssh.
func (d *Destination) listens(c *commandLine, v *control.Invocation) *control.ListenRequest {
	path, master := controlPath(d.Conf, v), d.Conf.ControlMaster()
	if path == "" || master == "no" || d.Alone != "" {
		return nil
	}
	l := d.listen(path, v)
	l.Confirm = master == "ask" || master == "autoask"
	l.Shared = c.masters == 0
	kind, _ := d.Conf.ControlPersist()
	l.Stay = kind == sshconf.PersistForever || kind == sshconf.PersistFor
	return l
}

// standing is the socket that ControlSockets has for each host, nil for none: by
// the name that ssh gives the connection, so that one ControlPath finds them all.
// Where another login stands there already, this one goes without.
func (r *Resolver) standing(d *Destination, v *control.Invocation) *control.ListenRequest {
	if d.Conf.ControlSockets() != sshconf.Yes || d.Alone != "" || r.DoorDir == "" {
		return nil
	}
	l := d.listen(filepath.Join(r.DoorDir, d.Conf.ConnectionHash()), v)
	l.Shared, l.Stay = true, true
	return l
}

// listen asks for a path with what the clients there cannot say themselves.
func (d *Destination) listen(path string, v *control.Invocation) *control.ListenRequest {
	return &control.ListenRequest{Dest: d, Path: path, PID: v.PID, Dir: v.Dir, Env: v.Env, Gateway: d.Conf.GatewayPorts(),
		Forwards: d.forwardOptions(),
		X11:      control.X11Request{Trusted: d.Conf.ForwardX11Trusted(), Timeout: d.Conf.ForwardX11Timeout(), XAuth: d.Conf.XAuthLocation()}}
}

// forSSH is a command line without the keywords that are ours.
func forSSH(args []string) []string {
	line, err := getopt.ParseSSH(args)
	if err != nil {
		return args
	}
	var out []string
	for _, o := range line.Options {
		if o.Name == 'o' {
			if s, err := sshconf.ParseOption(o.Value); err == nil && sshconf.Own(s.Keyword) {
				continue
			}
		}
		out = append(out, "-"+string(rune(o.Name)))
		if strings.Contains(getopt.SSH, string(rune(o.Name))+":") {
			out = append(out, o.Value)
		}
	}
	return append(append(out, "--", line.Destination), line.Command...)
}

var privates atomic.Int64

// private makes a connection that is this request's alone where the command
// line says -S none or -o ControlPath=none, or the configuration Share no.
func (d *Destination) private(c *commandLine) {
	if c.controlPath && d.Conf.ControlPath() == "" || d.Conf.Share() == sshconf.No {
		d.Alone = fmt.Sprintf("private %d", privates.Add(1))
	}
}
