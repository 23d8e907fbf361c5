package sshtest

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Exit is how a command ends: by Signal (a name without "SIG") if that is
// set, else with Status; Silent closes the channel and says nothing.
type Exit struct {
	Status int
	Signal string
	Silent bool
}

// Command is a command of the built-in shell; args do not include its name.
// It must return when its stream fails or Session.Context ends.
type Command func(s *Session, args []string) Exit

// builtin is what the shell knows besides Options.Commands:
//
//	echo WORDS       print them
//	stderr WORDS     print them to standard error
//	cat              copy the input until it ends
//	head-c N         copy N bytes of the input
//	yes              print "y" until that fails; in a bubble, read it at
//	                 intervals, or virtual time stands still
//	env              print the accepted variables, sorted
//	tty              print "TERM COLUMNSxROWS OPCODE=VALUE…", or "not a tty"
//	sleep DURATION   in Go's notation
//	wait-signal      print the name of the next signal; a command that
//	                 contains it is not killed by signals
//	exit N           end with that status
//	kill SIG         end with exit-signal
//	noexit           close the channel without a status
//	drop             close the connection without a word
//	eow              send eow@openssh.com: no more input is wanted
//	agent            list the keys of the client's agent, a fingerprint a line
//	x11 [COOKIE]     begin an X11 connection with the session's cookie, or with
//	                 another in hexadecimal, and print how the server answers:
//	                 "success", "failed REASON" or "closed"
//
// The last two ask the client whether or not it asked for agent or X11
// forwarding, as a server may; refused, they end with 1 and the refusal's text
// on standard error.
//
// Commands are separated by ";" and words by blanks; there is no quoting. The
// status is the last command's. A shell request reads such lines from its
// input.
var builtin map[string]Command

func init() {
	builtin = map[string]Command{
		"echo":   func(s *Session, args []string) Exit { return say(s.Out, args) },
		"stderr": func(s *Session, args []string) Exit { return say(s.Err, args) },
		"cat":    func(s *Session, _ []string) Exit { return copied(io.Copy(s.Out, s.In)) },
		"head-c": headC,
		"yes":    yes,
		"env": func(s *Session, _ []string) Exit {
			env := s.Env()
			slices.Sort(env)
			for _, v := range env {
				fmt.Fprintln(s.Out, v)
			}
			return Exit{}
		},
		"tty":         tty,
		"sleep":       sleepFor,
		"wait-signal": waitSignal,
		"exit":        func(_ *Session, args []string) Exit { return Exit{Status: number(args)} },
		"kill":        func(_ *Session, args []string) Exit { return Exit{Signal: strings.Join(args, " ")} },
		"noexit":      func(*Session, []string) Exit { return Exit{Silent: true} },
		"drop":        func(s *Session, _ []string) Exit { s.Peer.Drop(); return Exit{Silent: true} },
		"eow":         func(s *Session, _ []string) Exit { return copied(0, s.Request("eow@openssh.com", nil)) },
		"agent":       listAgent,
		"x11":         openX11,
	}
}

// subsystems are what the server has besides Options.Commands; "echo" sends
// its input back, "sftp" serves files.
var subsystems = map[string]Command{
	"echo": func(s *Session, _ []string) Exit { return copied(io.Copy(s.Out, s.In)) },
	"sftp": serveSFTP,
}

// program returns what an exec, shell or subsystem request is to run, nil for
// a subsystem that there is none of.
func (s *Session) program(how, text string, o Options) func() Exit {
	switch how {
	case "exec":
		return func() Exit { e, _ := s.script(text, o); return e }
	case "shell":
		return func() Exit { return s.shell(o) }
	}
	serve := o.Commands[text]
	if serve == nil {
		serve = subsystems[text]
	}
	if serve == nil {
		return nil
	}
	return func() Exit { return serve(s, nil) }
}

// shell runs its input line by line.
func (s *Session) shell(o Options) Exit {
	in := s.In.(*bufio.Reader)
	var e Exit
	for {
		line, err := in.ReadString('\n')
		last, stop := s.script(line, o)
		if e = last; stop || err != nil {
			return e
		}
	}
}

// script runs the commands of one line; stop: one of them ended the session.
func (s *Session) script(line string, o Options) (e Exit, stop bool) {
	for text := range strings.SplitSeq(line, ";") {
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		run := builtin[words[0]]
		if own := o.Commands[words[0]]; own != nil {
			run = own
		}
		if run == nil {
			fmt.Fprintf(s.Err, "%s: command not found\n", words[0])
			e = Exit{Status: 127}
			continue
		}
		e = run(s, words[1:])
		if words[0] == "exit" || e.Signal != "" || e.Silent || s.ctx.Err() != nil {
			return e, true
		}
	}
	return e, false
}

func say(w io.Writer, words []string) Exit {
	_, err := fmt.Fprintln(w, strings.Join(words, " "))
	return copied(0, err)
}

// copied is the status of a command that does nothing but write.
func copied(_ int64, err error) Exit {
	if err != nil {
		return Exit{Status: 1}
	}
	return Exit{}
}

// number is the last argument, 255 if it is no number.
func number(args []string) int {
	n, err := strconv.Atoi(strings.Join(args, ""))
	if err != nil {
		return 255
	}
	return n
}

func headC(s *Session, args []string) Exit {
	return copied(io.CopyN(s.Out, s.In, int64(number(args))))
}

// yes writes 32 KiB at a time, the largest packet of an SSH channel.
func yes(s *Session, _ []string) Exit {
	block := []byte(strings.Repeat("y\n", 16<<10))
	for {
		if _, err := s.Out.Write(block); err != nil {
			return Exit{Status: 1}
		}
	}
}

func tty(s *Session, _ []string) Exit {
	p := s.PTY()
	if p == nil {
		return say(s.Out, []string{"not a tty"})
	}
	words := []string{p.Term, fmt.Sprintf("%dx%d", p.Window.Columns, p.Window.Rows)}
	for _, op := range slices.Sorted(maps.Keys(p.Modes)) {
		words = append(words, fmt.Sprintf("%d=%d", op, p.Modes[op]))
	}
	return say(s.Out, words)
}

func sleepFor(s *Session, args []string) Exit {
	d, err := time.ParseDuration(strings.Join(args, ""))
	if err != nil {
		fmt.Fprintln(s.Err, err)
		return Exit{Status: 1}
	}
	return copied(0, sleep(s.ctx, d))
}

func waitSignal(s *Session, _ []string) Exit {
	select {
	case name := <-s.signals:
		return say(s.Out, []string{name})
	case <-s.ctx.Done():
		return Exit{Status: 1}
	}
}
