// Package login logs in to a server: one attempt over one connection, with the
// keys, agents, host keys and algorithms that the configuration names, asking
// whoever waits for it.
//
// Its clock stands still while a person is asked something. Its errors say what
// the next attempt has to know: NeedsPerson marks what would only be repeated,
// Busy a server that sends newcomers away.
//
// The package makes no connection and keeps none: how the server is reached, and
// what becomes of a connection that is logged in, are others' to say. It refuses
// to ask anybody on a connection that is lost, and to pass on what a server says
// without end.
package login
