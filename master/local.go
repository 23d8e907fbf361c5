package master

import (
	"context"
	"errors"

	"muxd/control"
	"muxd/internal/dest"
)

// runsLocally reports whether there may be a LocalCommand.
func runsLocally(d *dest.Destination, p control.Prompter) bool {
	return d.Conf.PermitLocalCommand() && p != nil
}

// localCommand has the client run LocalCommand, once the connection is there
// and before anything is opened on it (sshconnect.c, ssh_local_cmd). ssh does so
// for the command that makes the connection; here every command stands for
// itself, so each one does. How it ends changes nothing, in ssh either.
func localCommand(ctx context.Context, d *dest.Destination, p control.Prompter) error {
	if !runsLocally(d, p) {
		return nil
	}
	line, err := d.Conf.LocalCommand("NONE")
	if err != nil || line == "" {
		return asControl(d.Name, control.NotDialled, err)
	}
	d.Debugf(p, 1, "running the local command: %s", line)
	_, err = p.Run(ctx, control.Command{Kind: control.CommandLocal, Args: []string{line}})
	switch {
	case err == nil, errors.Is(err, control.ErrNobody):
		return nil
	case ctx.Err() != nil:
		return asControl(d.Name, control.Lost, ctx.Err())
	}
	p.Notice("muxc: " + d.Name + ": LocalCommand: " + err.Error())
	return nil
}
