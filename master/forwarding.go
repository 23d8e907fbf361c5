package master

import (
	"context"

	"muxd/control"
)

// Forward implements control.Backend.
func (m *Master) Forward(context.Context, *control.ForwardRequest, control.Prompter) (release func(), err error) {
	return nil, &control.Error{Phase: control.NotDialled, Text: "forwards are not carried out"}
}
