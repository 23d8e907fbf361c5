package master

import (
	"errors"

	"muxd/control"
)

// The server does not say for which session it opens an agent's channel, so on
// one connection there can be only one agent. A session that forwards another
// one gets another connection, if login needs no person.

var errOtherAgent = errors.New("another agent is forwarded on the connection, and a second one cannot be made without a person: " +
	"end the session that forwards it, or use a connection of its own (-S none)")

var errManyAgents = errors.New("other agents are forwarded on all the connections that MaxConnections allows")

// otherAgent reports a waiter that would have a place, but for the agents that
// are forwarded there.
func (h *host) otherAgent(w *waiter) bool {
	if w.agent == "" {
		return false
	}
	for l := range h.links {
		if h.fits(l, w) && l.lentTo != "" && l.lentTo != w.agent {
			return true
		}
	}
	return false
}

// noFurther is why no connection for another agent is to be had, nil where one
// may be.
func (h *host) noFurther() error {
	fit := 0
	for l := range h.links {
		if l.Usable() {
			fit++
		}
	}
	switch {
	case h.needsPerson:
		return &control.Error{Phase: control.Refused, Text: errOtherAgent.Error()}
	case fit >= h.maxConnections():
		return &control.Error{Phase: control.Refused, Text: errManyAgents.Error()}
	}
	return nil
}
