package term

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary is also every program that the tests put on a terminal. Which
// one, TERM_HELPER says. They report lines on descriptor 3 and are told what to
// do by lines on descriptor 4; the shell takes its orders on descriptor 5.
func TestMain(m *testing.M) {
	helpers := map[string]func(){"ask": helpAsk, "raw": helpRaw, "shell": helpShell, "orphan": helpOrphan}
	name := os.Getenv("TERM_HELPER")
	if name == "" {
		os.Exit(m.Run())
	}
	helpers[name]()
}

var (
	reports  = os.NewFile(3, "reports")
	orders   = bufio.NewScanner(os.NewFile(4, "orders"))
	shellers = bufio.NewScanner(os.NewFile(5, "shell's orders"))
)

func report(format string, args ...any) { fmt.Fprintf(reports, format+"\n", args...) }

// look describes the modes of stdin's terminal.
func look() string {
	m, err := unix.IoctlGetTermios(0, getTermios)
	if err != nil {
		return err.Error()
	}
	word := func(set bool, name string) string {
		if set {
			return name
		}
		return "no" + name
	}
	return word(m.Lflag&unix.ECHO != 0, "echo") + " " + word(m.Lflag&unix.ICANON != 0, "lines") +
		" " + word(m.Oflag&unix.OPOST != 0, "post") + " " + word(m.Cc[unix.VSUSP] == ctrlZ, "susp")
}

// helpAsk asks one question for each order "ask", until an order "cancel". It
// then reports the next line of the terminal for each order "read".
func helpAsk() {
	ctx, cancel := context.WithCancel(context.Background())
	next := make(chan string)
	go func() {
		for orders.Scan() {
			if orders.Text() == "cancel" {
				cancel()
			} else {
				next <- orders.Text()
			}
		}
		os.Exit(0)
	}()
	q := Question{Prompt: "Word? ", Echo: os.Getenv("TERM_ECHO") != "", Hint: Hint(os.Getenv("TERM_HINT"))}
	for order := range next {
		switch order {
		case "ask":
			answer, err := Ask(ctx, q)
			report("answer %q %s %s", answer, errorName(err), look())
		case "raw":
			_, err := Raw(0)
			report("raw %v", err)
		case "read":
			var b [100]byte
			n, err := os.Stdin.Read(b[:])
			report("read %q %v", b[:n], err)
		}
	}
}

func errorName(err error) string {
	for name, is := range map[string]error{"nobody": ErrNoTerminal, "interrupted": ErrInterrupted, "cancelled": context.Canceled} {
		if errors.Is(err, is) {
			return name
		}
	}
	return fmt.Sprint(err)
}

// helpRaw obeys the methods of State.
func helpRaw() {
	s, err := Raw(0)
	report("raw %v %s", err, look())
	for orders.Scan() {
		switch orders.Text() {
		case "restore":
			report("restore %v", s.Restore())
		case "again":
			report("again %v %s", s.Again(), look())
		case "suspend":
			w, err := s.Suspend()
			report("suspend %v %v %s", w, err, look())
		}
	}
}

// helpShell is a shell with one job: TERM_JOB, in a process group of its own,
// and with TERM_BG in the background. When the job stops the shell takes the
// terminal and reports how it was left; "sane" sets a shell's modes, "fg" and
// "bg" continue the job.
func helpShell() {
	before, err := unix.IoctlGetTermios(0, getTermios)
	if err != nil {
		report("shell %v", err)
		return
	}
	job := exec.Command(os.Args[0])
	job.Env = append(os.Environ(), "TERM_HELPER="+os.Getenv("TERM_JOB"))
	job.Stdin, job.Stdout, job.Stderr = os.Stdin, os.Stdout, os.Stderr
	job.ExtraFiles = []*os.File{reports, os.NewFile(4, "orders")}
	job.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: os.Getenv("TERM_BG") == ""}
	if err := job.Start(); err != nil {
		report("shell %v", err)
		return
	}
	signal.Ignore(unix.SIGTTOU) // as shells do; not before Start, the job would inherit it
	for {
		var ws unix.WaitStatus
		if _, err := unix.Wait4(job.Process.Pid, &ws, unix.WUNTRACED, nil); err == unix.EINTR {
			continue
		}
		if !ws.Stopped() {
			report("ended %d %v %s", ws.ExitStatus(), ws.Signal(), look())
			shellers.Scan() // whoever was left behind keeps the terminal until then
			return
		}
		_ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, unix.Getpgrp())
		report("stopped %v %s", ws.StopSignal(), look())
		for shellers.Scan() && shellers.Text() == "sane" {
			_ = unix.IoctlSetTermios(0, setTermios, before)
		}
		if shellers.Text() == "fg" {
			_ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, job.Process.Pid)
		}
		_ = unix.Kill(-job.Process.Pid, unix.SIGCONT)
	}
}

// helpOrphan leaves a child behind whose process group no shell could continue,
// and which then takes the terminal in the background, both ways.
func helpOrphan() {
	if os.Getenv("TERM_PARENT") == "" {
		env := append(os.Environ(), fmt.Sprint("TERM_PARENT=", os.Getpid()))
		_, err := os.StartProcess(os.Args[0], os.Args, &os.ProcAttr{Env: env,
			Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, reports, os.NewFile(4, "orders")}})
		report("left %v", err)
		return
	}
	for orders.Scan() {
		_, err := Raw(0)
		answer, aerr := Ask(context.Background(), Question{Prompt: "Word? "})
		report("orphan %v; %q %s %s", err, strings.TrimSpace(string(answer)), errorName(aerr), look())
	}
}
