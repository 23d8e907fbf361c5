// Package forward keeps the forwards of one destination: listeners here, and
// listeners at the server that are asked for again with each connection. A
// forward is wanted until its owners go; that it stands, and for whom, is kept
// apart from whether there is a connection.
//
// It knows no SSH and no host: connections are opened for it, and it is told
// which server's end is in service. It never waits for one connection with
// another's bytes.
package forward
