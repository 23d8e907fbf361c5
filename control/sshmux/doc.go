// Package sshmux is the second door: it serves OpenSSH's multiplexing protocol
// (PROTOCOL.mux, version 4) on ControlPath sockets, so that unmodified ssh, scp,
// sftp, rsync, git and ansible work through the connections that muxd holds.
//
// The protocol carries no host: a path stands for one destination, which whoever
// asked for the path has said. A door is such a path with its listener; a client
// is one connection to it.
//
//	Doors ── one per muxd ──► door ── one per path ──► client ── one per ssh
//	                                                    │ requests, in turn
//	                                                    └► session, stdio forward, forwards
//
// What a person would see that stock ssh does not show, and where this door
// differs from mux.c, is listed in control/PROTOCOL.md, "The second door".
//
// What a client sends decides nothing but its own fate: each has a goroutine that
// reads it and one for each direction of its bytes, and nobody else waits for
// them.
package sshmux
