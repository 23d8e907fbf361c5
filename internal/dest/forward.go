package dest

import (
	"path/filepath"
	"slices"

	"muxd/control"
	"muxd/internal/sshconf"
)

// forwards are those that the configuration and the command line ask for, local
// ones first, as ssh sets them up (ssh.c, ssh_init_forwarding); nil if there are
// none. Which of them keeps accepts. They stay when the client goes only where
// that was asked for: -f without a command leaves nothing else behind.
func (d *Destination) forwards(v *control.Invocation, accepts func(sshconf.Forward) bool) *control.ForwardRequest {
	conf := d.Conf
	r := &control.ForwardRequest{Dest: d, PID: v.PID, Options: d.forwardOptions()}
	for _, f := range conf.LocalForwards() {
		if accepts(f) {
			r.Forwards = append(r.Forwards, localForward(f, conf.GatewayPorts(), v.Dir))
		}
	}
	for _, f := range conf.RemoteForwards() {
		if accepts(f) {
			r.Forwards = append(r.Forwards, remoteForward(f, v.Dir))
		}
	}
	if len(r.Forwards) == 0 {
		return nil
	}
	r.Strict, _ = conf.ExitOnForwardFailure()
	// Those on a connection of one's own could not be named to be cancelled.
	r.Sticky = conf.StickyForward() == sshconf.Yes && d.Alone == ""
	return r
}

// forwardOptions is how forwards listen, and what they let through.
func (d *Destination) forwardOptions() control.ForwardOptions {
	return control.ForwardOptions{Network: d.Network(), Mask: d.Conf.StreamLocalBindMask(), Unlink: d.Conf.StreamLocalBindUnlink(),
		Permit: d.Conf.PermitRemoteOpen()}
}

func every(sshconf.Forward) bool { return true }

// typed accepts the forwards that were given as options of their own.
func (c *commandLine) typed() func(sshconf.Forward) bool {
	var specs []string
	for _, s := range c.settings {
		if s.Literal && slices.Contains([]string{"LocalForward", "RemoteForward", "DynamicForward"}, s.Keyword) {
			specs = append(specs, s.Value)
		}
	}
	if len(specs) == 0 {
		return every
	}
	return func(f sshconf.Forward) bool { return slices.Contains(specs, f.Spec) }
}

// localForward is a forward for which this machine listens. Paths here are the
// client's (-L ./sock:…), who is in another directory than muxd.
func localForward(f sshconf.Forward, gateway bool, dir string) control.Forward {
	to := control.Forward{Kind: control.ForwardLocal, Listen: listensAt(f, gateway),
		Connect: control.Endpoint{Host: f.ConnectHost, Port: f.ConnectPort, Path: f.ConnectPath}}
	if to.Listen.Path != "" {
		to.Listen.Path = absolute(dir, to.Listen.Path)
	}
	if f.Dynamic {
		to.Kind, to.Connect = control.ForwardDynamic, control.Endpoint{}
	}
	return to
}

// remoteForward is a forward for which the server listens.
func remoteForward(f sshconf.Forward, dir string) control.Forward {
	to := control.Forward{Kind: control.ForwardRemote, Listen: listensAt(f, false),
		Connect: control.Endpoint{Host: f.ConnectHost, Port: f.ConnectPort, Path: f.ConnectPath}}
	if to.Connect.Path != "" {
		to.Connect.Path = absolute(dir, to.Connect.Path)
	}
	if f.Dynamic {
		to.Kind, to.Connect = control.ForwardRemoteDynamic, control.Endpoint{}
	}
	return to
}

// listensAt settles on which addresses a forward listens (channels.c,
// channel_fwd_bind_addr and channel_rfwd_bind_host).
func listensAt(f sshconf.Forward, gateway bool) control.Endpoint {
	if f.ListenPath != "" {
		return control.Endpoint{Path: f.ListenPath}
	}
	host, written := f.Listening()
	switch {
	case !written && gateway, written && (host == "" || host == "*"):
		host = "*"
	case !written:
		host = "localhost"
	}
	return control.Endpoint{Host: host, Port: f.ListenPort}
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
