package sshconf

import "strings"

// AgentKind says where an agent is to be found.
type AgentKind int

const (
	// AgentDefault is the agent of SSH_AUTH_SOCK: nothing was configured, or
	// just that.
	AgentDefault AgentKind = iota
	// AgentNone is no agent at all.
	AgentNone
	// AgentSocket is a socket that the configuration names, or a variable
	// that names one.
	AgentSocket
)

// Agent is what IdentityAgent or ForwardAgent name.
type Agent struct {
	Kind AgentKind
	// Configured is the value with ~, tokens and ${NAME} expanded, but with
	// $NAME as it stands; "" if there was none. It tells two configurations
	// apart where the sockets only tell two logins apart.
	Configured string
	// Socket is the path, "" if there is no agent: also where the variable
	// that should name it is not set.
	Socket string
}

// authSock is both the name of the variable and the word in IdentityAgent that
// stands for it.
const authSock = "SSH_AUTH_SOCK"

func (e *evaluator) agent(value string) (Agent, error) {
	if value == "" {
		return Agent{Socket: e.env(authSock)}, nil
	}
	path, err := e.file(value, &e.c.tokens)
	if err != nil {
		return Agent{}, err
	}
	a := Agent{Configured: path}
	switch {
	case path == authSock:
		a.Socket = e.env(authSock)
	case path == "none":
		a.Kind = AgentNone
	case strings.HasPrefix(path, "$") && !strings.HasPrefix(path, "${"):
		a.Kind, a.Socket = AgentSocket, e.env(path[1:])
	default:
		a.Kind, a.Socket = AgentSocket, path
	}
	if a.Kind == AgentSocket && a.Socket == "" {
		a.Kind = AgentNone
	}
	return a, nil
}
