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

// local is the LocalCommand of a request that may be tried more than once.
type local struct{ ran bool }

// command has it run, the first time.
func (l *local) command(ctx context.Context, d *dest.Destination, p control.Prompter) error {
	if l.ran {
		return nil
	}
	l.ran = runsLocally(d, p)
	return localCommand(ctx, d, p)
}

// here is err, which sends nobody to another muxd once the command has run: that one
// would have it run once more.
func (l *local) here(err error) error {
	var e *control.Error
	if !l.ran || !errors.As(err, &e) || !e.Elsewhere {
		return err
	}
	own := *e
	own.Elsewhere = false
	return &own
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
