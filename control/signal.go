package control

import "syscall"

// SignalNumber is the number here of a signal that the other side named
// (RFC 4254 section 6.10), 0 if it is not known.
func SignalNumber(name string) int {
	return int(map[string]syscall.Signal{
		"ABRT": syscall.SIGABRT, "ALRM": syscall.SIGALRM, "FPE": syscall.SIGFPE, "HUP": syscall.SIGHUP,
		"ILL": syscall.SIGILL, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "PIPE": syscall.SIGPIPE,
		"QUIT": syscall.SIGQUIT, "SEGV": syscall.SIGSEGV, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1,
		"USR2": syscall.SIGUSR2, "BUS": syscall.SIGBUS, "SYS": syscall.SIGSYS, "TRAP": syscall.SIGTRAP,
		"XCPU": syscall.SIGXCPU, "XFSZ": syscall.SIGXFSZ,
	}[name])
}
