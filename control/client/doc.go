// Package client makes connections through muxd for a Go program: what a host
// can reach, the program can dial, over the SSH connection that muxd keeps to
// that host anyway. It is muxc's -W with a net.Conn in place of stdin and stdout.
//
//	c := client.New("bastion")
//	hc := http.Client{Transport: &http.Transport{DialContext: c.DialContext}}
//
// The data of a connection travels between this process and muxd on a pair of
// Unix sockets; beside it stands the connection on which muxd tells how it ended,
// so that a lost SSH connection is an error here and never the end of a file.
//
// It is a package of its own because it imports net, which package control must
// not: muxc links that, and its start-up time is the product. It refuses to ask:
// a login that needs a password or a touch has to be made before, by muxc or
// "muxd login", and muxd then keeps the connection. It refuses to listen: for a
// forward that stays there is "muxc -O forward".
package client
