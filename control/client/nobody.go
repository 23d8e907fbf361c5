package client

import (
	"context"

	"muxd/control"
	"muxd/internal/child"
)

// nobody is the part of a control.Handler that reaches a person: there is none.
type nobody struct{}

// Prompt implements control.Prompter.
func (nobody) Prompt(context.Context, control.Prompt) (control.Answer, error) {
	return control.Answer{}, control.ErrNobody
}

// Run implements control.Prompter: the configuration's Match exec and
// KnownHostsCommand are this program's children, as they would be ssh's.
func (nobody) Run(ctx context.Context, c control.Command) (control.Ran, error) {
	if c.Kind == control.CommandLocal {
		return control.Ran{}, control.ErrNobody
	}
	return child.Run(ctx, c)
}

// Notice implements control.Prompter.
func (nobody) Notice(string) {}

// Waiting implements control.Prompter.
func (nobody) Waiting(control.Waiting) {}

// Impatient implements control.Prompter.
func (nobody) Impatient() <-chan struct{} { return nil }
