// Command muxd keeps one SSH connection to every destination its user works
// with, and lets muxc open sessions on them. Without a command it runs as the
// daemon, in the foreground; with one it administers the daemon that runs.
package main

import (
	"fmt"
	"os"
	"strings"

	"muxd/internal/build"
	"muxd/internal/sshauth"
)

const usage = `usage: muxd                run in the foreground (muxc starts it by itself)
       muxd status [--json] [--probe-forwards]
                           connections, sessions, forwards, last error;
                           --probe-forwards: open each far side once
       muxd top            the same, live: curves of round trip and traffic,
                           sessions, forwards; keys: reconnect, recycle, stop
       muxd login HOST... | --all
                           log in ahead; --all: every host muxd knows
       muxd wait HOST [--for ready|down] [--timeout 30s]
                           for a connection, or for none; 1: not in time
       muxd reconnect HOST... | --all [--forget]
                           try now; --forget: what was learned of it, too
       muxd recycle HOST... | --all
                           have a new connection, and no session cut
       muxd events [--json] [--since 10m [--no-follow]] [HOST]
                           print what changes, as it changes; --since: first
                           what changed before, with --no-follow no more
       muxd metrics [--file PATH]
                           numbers for monitoring, in OpenMetrics' text;
                           --file: for node_exporter's textfile collector
       muxd doctor [--json] [HOST... | --all]
                           what could be better, and how
       muxd install --ssh-config [--write]
                           the lines by which ssh itself uses muxd; --write:
                           put them into ~/.ssh/config, with a backup
       muxd install --service [--write]
                           units for systemd, or an agent for launchd
       muxd uninstall --ssh-config | --service [--write]
                           take either away again
       muxd lock           let nothing new begin, on any host
       muxd unlock         undo that
       muxd stop [--force | --drain [--timeout 30s]]
                           end muxd; --force also where sessions run or wait;
                           --drain: with the last of them, and nothing new
       muxd --version | --help

Where a HOST is named, -F FILE before it is ssh's: which ssh_config says what
it means.
The socket is $MUXD_SOCKET, else muxd/ctl under $XDG_RUNTIME_DIR or
/run/user/UID, else /tmp/muxd-UID/ctl. The log is muxd/muxd.log in the
state directory ($XDG_STATE_HOME, ~/.local/state).
`

func main() {
	harden()
	if socket := os.Getenv(sshauth.AskpassVar); socket != "" { // the SSH_ASKPASS of a program that muxd runs
		os.Exit(sshauth.Askpass(socket, os.Args[1:]))
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	if len(args) == 0 {
		return serve()
	}
	cmd, args := args[0], args[1:]
	switch cmd {
	case "status":
		return status(args)
	case "top":
		return liveView(args)
	case "login":
		return login(args)
	case "wait":
		return wait(args)
	case "metrics":
		return printMetrics(args)
	case "events":
		return events(args)
	case "reconnect", "recycle":
		return manage(cmd, args)
	case "doctor":
		return doctor(args)
	case "install":
		return install(args)
	case "uninstall":
		return uninstall(args)
	case "stop":
		return stop(args)
	case "lock", "unlock":
		return lock(cmd, args)
	case "--version", "-V", "version":
		fmt.Println("muxd " + build.Version)
		return 0
	case "--help", "-h", "help":
		fmt.Print(usage)
		return 0
	}
	return misused("unknown command " + fmt.Sprintf("%q", cmd))
}

// misused says what is wrong with the command line of a command, and how it goes:
// of that command alone, so that the error stays on the screen.
func misused(what string) int {
	command, _, _ := strings.Cut(what, ":")
	how := usageOf(command)
	if how == "" {
		how = "muxd --help lists the commands\n"
	}
	fmt.Fprintf(os.Stderr, "muxd: %s\n%s", what, how)
	return 2
}

// usageOf is the part of the usage that is about a command, or "".
func usageOf(command string) string {
	const lead, indent = "usage: ", "       "
	var b strings.Builder
	wanted := false
	for line := range strings.Lines(usage) {
		line, begins := strings.CutPrefix(line, indent+"muxd ")
		switch word, _, _ := strings.Cut(strings.TrimRight(line, "\n"), " "); {
		case begins && word == command:
			wanted = true
			line = indent + "muxd " + line
		case begins || !strings.HasPrefix(line, " "):
			wanted = false
		}
		if wanted {
			b.WriteString(line)
		}
	}
	return strings.Replace(b.String(), indent, lead, 1)
}

// complain prints an error as the one line a person sees.
func complain(err error) int {
	fmt.Fprintf(os.Stderr, "muxd: %v\n", err)
	return 1
}
