package control

import (
	"context"
	"errors"
)

// CommandKind says how a Command is run, and what of it is wanted.
type CommandKind uint8

// The kinds of command.
const (
	// CommandTest is a line for the user's shell of which only the status
	// counts; it has no stdin and no stdout (Match exec; readconf.c,
	// execute_in_shell).
	CommandTest CommandKind = 1
	// CommandOutput is a program and its arguments, without a shell, whose
	// stdout is wanted (KnownHostsCommand; misc.c, subprocess).
	CommandOutput CommandKind = 2
	// CommandLocal is a line for the user's shell that has the client's own
	// stdin, stdout and stderr (LocalCommand; sshconnect.c, ssh_local_cmd).
	CommandLocal CommandKind = 3
)

// Command is a program that has to be the client's child, because its answer
// depends on the client's terminal, directory and environment.
type Command struct {
	Kind CommandKind
	Args []string // one line for the shell, or the program and its arguments
}

// Ran is how a Command ended.
type Ran struct {
	Status int    // its exit status, or 128+n for one that a signal n ended
	Output []byte // of a CommandOutput
}

// MaxCommandOutput bounds a command's output, in bytes: a known_hosts of some
// ten thousand lines. One that writes more has failed.
const MaxCommandOutput = 2 << 20

func (c Command) encode(id uint32) []byte {
	e := encoder{}
	e.u32(id)
	e.u8(uint8(c.Kind))
	e.strs(c.Args)
	return e.b
}

func decodeCommand(b []byte) (id uint32, c Command, err error) {
	d := decoder{b: b}
	id = d.u32()
	c = Command{Kind: CommandKind(d.u8()), Args: d.strs()}
	if len(c.Args) == 0 {
		d.err = errShort
	}
	return id, c, d.done()
}

// encodeRan carries an error as text: it says why the command did not start.
func encodeRan(id uint32, r Ran, err error) []byte {
	e := encoder{}
	e.u32(id)
	e.u32(uint32(r.Status))
	text := ""
	if err != nil {
		text = CleanLine(err.Error())
	}
	e.str(text)
	e.bytes(r.Output)
	return e.b
}

func decodeRan(b []byte) (id uint32, r Ran, ran, err error) {
	d := decoder{b: b}
	id = d.u32()
	r.Status = int(d.u32())
	if text := d.str(); text != "" {
		ran = errors.New(text)
	}
	if r.Output = d.bytes(); len(r.Output) > MaxCommandOutput {
		d.err = errShort
	}
	return id, r, ran, d.done()
}

// Run implements Prompter by the client.
func (o *operation) Run(ctx context.Context, c Command) (Ran, error) {
	r, err := o.ask(ctx, frameCommand, c.encode)
	return r.ran, err
}
