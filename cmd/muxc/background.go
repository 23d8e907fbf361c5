package main

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/socket"
)

// resumeEnv tells a process of this program that it goes on where the one that
// started it was: with the connection as descriptor 3, and what was read of it
// as descriptor 4. Its command line is the same.
const resumeEnv = "MUXC_RESUME"

// toBackground is what ssh -f does by a fork, once the session is open: another
// process goes on, in a session of its own and without standard input, and this
// one ends well.
func (u *ui) toBackground() {
	if err := u.fork(); err != nil {
		u.leave(u.line(failure{phase: control.Running, host: u.dest, text: "going to the background: " + err.Error()}), exitFailed)
	}
	u.leave("", 0)
}

func (u *ui) fork() error {
	conn, err := u.conn.Dup()
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	out, errs := os.Stdout, os.Stderr
	if u.plan.Mute { // x=$(muxc -fNM host 2>&1) is not to wait for it
		out = null
		if u.log != nil || !u.verbose && isPipe(2) {
			errs = null
		}
	}
	p, err := os.StartProcess(self(), os.Args, &os.ProcAttr{
		Env:   append(os.Environ(), resumeEnv+"=1"),
		Files: []*os.File{null, out, errs, conn, r},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	r.Close()
	if err != nil {
		return cause(err)
	}
	if u.plan.Serves { // before this process ends: who asks then is told of the one that stays
		u.op.Moved(p.Pid)
	}
	_, err = w.Write(u.op.Detach())
	return err
}

// isPipe reports a descriptor whose reader waits for its end. On a terminal and in
// a file the holder goes on saying what becomes of the connection and of forwards;
// ssh says nothing there any more, but with -v.
func isPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}

// self is this very program, also when its file was replaced meanwhile.
func self() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

// resume is the other process.
func resume(u *ui) (int, error) {
	os.WriteFile("/proc/self/comm", []byte("muxc"), 0) // and not "exe", for who looks for it by name
	c, err := socket.Adopt(3)
	if err != nil {
		return exitFailed, err
	}
	u.pid, u.conn = c.PeerPID(), c
	u.op = control.Resume(c, os.NewFile(4, "state"))
	u.mu.Lock()
	u.opened, u.plan = true, u.op.Plan()
	u.watchEnd()
	u.mu.Unlock()
	go u.relaySize(u.op)
	return u.finish(u.op.WaitStream(u))
}
