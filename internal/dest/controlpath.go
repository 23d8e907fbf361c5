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
func elsewhere(ctx context.Context, c *commandLine, d *Destination, v *control.Invocation) ([]string, error) {
	path := d.Conf.ControlPath()
	if !c.controlPath || path == "" {
		return nil, nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(v.Dir, path)
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
// line says -S none or -o ControlPath=none.
func (d *Destination) private(c *commandLine) {
	if c.controlPath && d.Conf.ControlPath() == "" {
		d.Alone = fmt.Sprintf("private %d", privates.Add(1))
	}
}
