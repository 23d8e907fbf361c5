package main

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"muxd/internal/getopt"
)

// logTo takes a line of ours in place of stderr: the file of -E, or the system
// log of -y. What the remote command says on stderr is not ours.
type logTo func(line string)

// logOf finds where the command line wants our lines; nil is stderr.
func logOf(line *getopt.CommandLine) (logTo, error) {
	file, syslog := "", false
	for _, o := range line.Options {
		switch o.Name {
		case 'E':
			file = o.Value
		case 'y':
			syslog = true
		}
	}
	switch {
	case file != "" && syslog:
		return nil, errors.New("-y and -E: only one of them is possible")
	case file != "":
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, errors.New("log file " + file + ": " + cause(err).Error())
		}
		return func(line string) { writeAll(int(f.Fd()), []byte(line+"\n")) }, nil
	case syslog:
		return toSyslog(), nil
	}
	return nil, nil
}

// syslogSockets are where the system's log listens.
var syslogSockets = []string{"/dev/log", "/var/run/syslog"}

// syslogUserInfo is the priority of a line: facility user, level info (RFC
// 3164), as ssh has it for lines of no higher level.
const syslogUserInfo = 1<<3 | 6

// toSyslog sends lines as datagrams. A system without a log has none of them,
// as with ssh.
func toSyslog() logTo {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return func(string) {}
	}
	unix.CloseOnExec(fd)
	tag := "<" + strconv.Itoa(syslogUserInfo) + ">muxc[" + strconv.Itoa(os.Getpid()) + "]: "
	return func(line string) {
		for _, path := range syslogSockets {
			if unix.Sendto(fd, []byte(tag+line), unix.MSG_DONTWAIT, &unix.SockaddrUnix{Name: path}) == nil {
				return
			}
		}
	}
}

// logged writes text to the log, a line for each of its lines.
func (to logTo) logged(text string) {
	for line := range strings.SplitSeq(strings.Trim(text, "\r\n"), "\n") {
		to(strings.TrimSuffix(line, "\r"))
	}
}
