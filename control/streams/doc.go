// Package streams carries many operations over one connection of the native
// protocol, each on a stream of its own, by yamux. It stands apart from package
// control so that muxc, which needs one operation, does not link yamux and net.
package streams
