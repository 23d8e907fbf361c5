package master

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/login"
	"muxd/internal/sshconf"
)

// mostAsked bounds what a question tells of a command, in bytes.
const mostAsked = 80

// begins asks whether what a client wants may begin: by the gate, and where the
// configuration says Confirm, by the person behind the request. What says what it
// is, as the end of "... on HOST?".
func (m *Master) begins(ctx context.Context, d *dest.Destination, p control.Prompter, what string) error {
	err := m.admit(d)
	if err == nil && d.Conf.Confirm() == sshconf.Yes {
		if text := confirm(ctx, d, p, what); text != "" {
			err = &control.Error{Phase: control.NotDialled, Host: d.Name, Text: text}
		}
	}
	return err
}

// confirm is why the answer is no, "" for a yes.
func confirm(ctx context.Context, d *dest.Destination, p control.Prompter, what string) string {
	const nobody = "Confirm is set for it, and nobody could be asked (-o Confirm=no does without)"
	if p == nil || d.Batch {
		return nobody
	}
	ctx, cancel := context.WithTimeoutCause(ctx, control.PromptTimeout, login.ErrUnanswered)
	defer cancel()
	if what = control.CleanLine(what); len(what) > mostAsked {
		what = control.CleanLine(what[:mostAsked]) + "…"
	}
	a, err := p.Prompt(ctx, control.Prompt{Kind: control.PromptConfirm, Host: d.User + "@" + d.Host,
		Text: fmt.Sprintf("%s on %s? (yes/no) ", what, d.Name)})
	switch {
	case errors.Is(err, control.ErrNobody):
		return nobody
	case context.Cause(ctx) == login.ErrUnanswered:
		return "Confirm is set for it, and " + login.ErrUnanswered.Error()
	case err != nil:
		return "Confirm is set for it: " + err.Error()
	}
	switch strings.ToLower(strings.TrimSpace(a.Text)) {
	case "yes", "y":
		return ""
	}
	return "Confirm is set for it, and the answer was no"
}

// wish is what a session is for, in the words of a question.
func wish(r *control.SessionRequest) string {
	switch r.Kind {
	case control.Shell:
		return "Open a shell"
	case control.Subsystem:
		return "Use " + r.Command
	}
	return fmt.Sprintf("Run %q", r.Command)
}

func wishes(fs []control.Forward) string {
	var all []string
	for _, f := range fs {
		all = append(all, f.String())
	}
	return "Forward " + strings.Join(all, " ")
}
