// Package client runs commands and makes connections through muxd for a Go
// program, over the SSH connection that muxd keeps to a host anyway: os/exec and
// net.Dialer for another machine, without a login of its own, and without a
// library of SSH in the program.
//
//	c := client.New("build-host")
//	out, err := c.Command(ctx, "make -C /src").Output()
//	hc := http.Client{Transport: &http.Transport{DialContext: c.DialContext}}
//	for event, err := range c.Events(ctx, 0) { … }
//
// The configuration is the user's own: what works as "muxc build-host" works
// here. A muxd is started if none runs.
//
// # Errors
//
// A command that ended, and not well, is an *ExitError. What goes wrong on the
// way wraps a *control.Error, one line that names the host, the cause and the
// cure, and its Phase says how far the request had come. That is decided by what
// is known and never by what is likely: a command that may have run is never run
// again, neither by muxd nor by this package, and MayHaveRun tells the program
// whether it may be given again. Muxd itself repeats what provably did not begin,
// and waits for a connection that is lost to come back, as the keyword
// WaitForReady says. Where a context has ended the error matches that one's, and
// still has its phase. A lost SSH connection is an error everywhere, and never the
// end of a file.
//
// # Several at once
//
// A Client does not change and is for any number of goroutines; fifty first
// commands make one login. A Cmd is for one goroutine until it is started, Wait
// and Signal then for any. A connection is a net.Conn.
//
// # What it refuses to do
//
// It does not ask: a login that needs a password or a touch has to be made
// before, by muxc or "muxd login", and muxd then keeps the connection. It does not
// listen: for a forward that stays there is "muxc -O forward". And it does not
// quote: a command is one line for the host's shell, as ssh's is.
//
// It is a package of its own because it imports net, which package control must
// not: muxc links that, and its start-up time is the product. The data of a
// connection travels between this process and muxd on a pair of Unix sockets, that
// of a command in frames; on the connection beside it muxd tells how it ended.
package client
