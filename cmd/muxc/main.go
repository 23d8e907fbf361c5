// Command muxc is ssh, through muxd: its command line, its exit status and its
// silence are ssh's, and the connection is the one that muxd keeps. It turns
// arguments into one request and a terminal into its answer, and knows neither
// SSH nor ssh_config: everything it links is paid for by every command.
package main

import (
	"errors"
	"os"

	"muxd/control"
	"muxd/internal/build"
	"muxd/internal/getopt"
	"muxd/internal/launch"
	"muxd/socket"
)

const usage = `usage: muxc [-46AaCfGgKkMNnqsTtVvXxYy] [-B bind_interface] [-b bind_address]
            [-c cipher_spec] [-D [bind_address:]port] [-E log_file]
            [-e escape_char] [-F configfile] [-I pkcs11] [-i identity_file]
            [-J destination] [-L address] [-l login_name] [-m mac_spec]
            [-O ctl_cmd] [-o option] [-P tag] [-p port] [-Q query_option]
            [-R address] [-S ctl_path] [-W host:port] [-w local_tun[:remote_tun]]
            destination [command [argument ...]]
`

// exitFailed is ssh's exit status for everything that is not the command's.
const exitFailed = 255

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	line, err := getopt.ParseSSH(args)
	if err != nil {
		return misused(err)
	}
	for _, o := range line.Options {
		if o.Name == 'V' {
			os.Stderr.WriteString("muxc " + build.Version + "\n")
			return 0
		}
	}
	u := newUI(line.Destination)
	u.quiet, u.verbose, u.json = given(line, 'q'), given(line, 'v'), wantsJSON(line)
	if u.log, err = logOf(line); err != nil {
		u.fail(err)
		return exitFailed
	}
	u.passes = wantsFdPass(line) && socket.IsSocket(1)
	if wantsFdPass(line) && !u.passes && given(line, 'W') && !given(line, 'G') {
		u.fail(errNoSocket)
		return exitFailed
	}
	var code int
	if os.Getenv(resumeEnv) != "" {
		code, err = resume(u)
	} else {
		code, err = carry(u, args, asks(line))
	}
	u.restore()
	if err != nil {
		u.fail(err)
		return exitFailed
	}
	return code
}

// asks reports a command line that only asks about a connection, and so never
// starts a muxd. -O proxy is a session like any other.
func asks(line *getopt.CommandLine) bool {
	for _, o := range line.Options {
		if o.Name == 'O' && o.Value != "prepare" {
			return o.Value != "proxy"
		}
	}
	return false
}

// given reports an option of the command line.
func given(line *getopt.CommandLine, name byte) bool {
	for _, o := range line.Options {
		if o.Name == name {
			return true
		}
	}
	return false
}

// carry has the request carried out, and a session that is lost carried on
// where the configuration has a command for that.
func carry(u *ui, args []string, asks bool) (code int, err error) {
	inv := invocation(u, args)
	for {
		code, err = attempt(u, inv, asks)
		if err == nil || u.op == nil || !u.reattaches(err) {
			return code, err
		}
		u.detach(err)
		inv = invocation(u, args) // the terminal's size and modes as they are now
		inv.Reattach = true
	}
}

// attempt has the request carried out. It is repeated only where muxd provably
// took nothing on.
func attempt(u *ui, inv *control.Invocation, asks bool) (code int, err error) {
	for range launch.Attempts {
		var c *socket.Conn
		if c, err = launch.Connect(asks); err != nil {
			return 0, err
		}
		u.pid, u.conn = c.PeerPID(), c
		code, err = converse(u, c, inv)
		c.Close()
		if !errors.Is(err, control.ErrNotTaken) {
			return code, err
		}
	}
	return 0, err
}

// converse is one operation, from its request to its end.
func converse(u *ui, c *socket.Conn, inv *control.Invocation) (int, error) {
	op, err := u.request(c, inv)
	if err != nil {
		return 0, err
	}
	u.begin(op)
	exit, err := op.Wait(u)
	u.wait.end()
	if args := op.Plan().HandOver; args != nil && err == nil {
		return exitFailed, becomeSSH(args)
	}
	return u.finish(exit, err)
}

// finish is the status of this process for the end of the operation.
func (u *ui) finish(exit control.Exit, err error) (int, error) {
	if u.isEnding() {
		return exitFailed, nil
	}
	return u.exitCode(exit), err
}

// misused prints the error, if it says more than the usage does, and the usage.
func misused(err error) int {
	if text := err.Error(); text != "" {
		os.Stderr.WriteString("muxc: " + text + "\n")
	}
	os.Stderr.WriteString(usage)
	return exitFailed
}
