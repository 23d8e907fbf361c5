// Package control holds the words a client and the master share (invocation,
// plan, prompt, status, exit, phase) and the native protocol that carries
// them over a Unix socket. It exists so that neither side knows the other:
// cmd/muxc speaks these words without knowing SSH, and package master answers
// them without knowing a wire.
//
// One connection carries one operation, whose request travels inside the
// preface, so that a warm command costs one write and no negotiation. A client
// that wants many operations on one connection says so in the preface and
// continues with package control/streams. A Go program that only wants
// connections has package control/client, which imports net and is apart for that
// reason.
//
// Where many bytes travel, the server asks for the client's own standard input
// and output and uses them itself. The bytes of a stdio forward may travel on a
// socket of their own, which the client hands over with its request; package
// socket argues why that socket's O_NONBLOCK may be set.
//
// The package refuses three things. It never interprets what it carries: the
// configuration, the host and the command are the Backend's business. It never
// treats the end of a stream as success: an operation ends with an exit, a
// result or an error frame, and without one it was lost. And it links neither
// net nor yamux nor encoding/json, because muxc links this package and its
// start-up time is the product (together they made an empty client 14 % slower
// to start).
//
// PROTOCOL.md beside this file is the specification, and a test holds it to the
// code.
package control
