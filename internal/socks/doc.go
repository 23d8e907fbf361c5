// Package socks is the server's side of a SOCKS request: versions 4, 4a and 5,
// CONNECT alone, without authentication. It reads what a client asks and writes
// what came of it, over any stream; it connects nowhere and resolves nothing,
// so that names are looked up on the far side.
package socks
