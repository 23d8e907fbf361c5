package master

import (
	"context"
	"errors"

	"muxd/control"
)

// runsLocally reports whether there may be a LocalCommand.
func runsLocally(d *destination, p control.Prompter) bool {
	return d.conf.PermitLocalCommand() && p != nil
}

// localCommand has the client run LocalCommand, once the connection is there
// and before anything is opened on it (sshconnect.c, ssh_local_cmd). ssh does so
// for the command that makes the connection; here every command stands for
// itself, so each one does. How it ends changes nothing, in ssh either.
func localCommand(ctx context.Context, d *destination, p control.Prompter) error {
	if !runsLocally(d, p) {
		return nil
	}
	line, err := d.conf.LocalCommand("NONE")
	if err != nil || line == "" {
		return asControl(d.name, control.NotDialled, err)
	}
	debugf(p, d, 1, "running the local command: %s", line)
	_, err = p.Run(ctx, control.Command{Kind: control.CommandLocal, Args: []string{line}})
	switch {
	case err == nil, errors.Is(err, control.ErrNobody):
		return nil
	case ctx.Err() != nil:
		return asControl(d.name, control.Lost, ctx.Err())
	}
	p.Notice("muxc: " + d.name + ": LocalCommand: " + err.Error())
	return nil
}
