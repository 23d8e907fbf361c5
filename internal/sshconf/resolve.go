package sshconf

import "errors"

// evaluator reads the files for one question. It lives as long as Resolve.
type evaluator struct {
	in *Input
	c  *Config

	final     bool   // this is the second pass
	settled   bool   // host is the final one
	wantFinal bool   // a Match final was seen
	host      string // what Host compares with: as typed, then as resolved

	files  int // read so far, of maxReads
	stamps stamps
	args   []string // reused from line to line
}

// Resolve evaluates the configuration. An *Error lists what ssh would refuse
// too; other errors come from Exec, LocalNetwork and Lookup.
func Resolve(in Input) (*Config, error) {
	if !validHost(in.Host) || in.Host == "" {
		return nil, fatalf("hostname contains invalid characters")
	}
	e := &evaluator{in: &in, c: newConfig(), host: in.Host}
	if err := e.options(); err != nil {
		return nil, err
	}
	if !validUser(e.c.str("user")) { // before any file can use it as a token
		return nil, fatalf("remote username contains invalid characters")
	}
	if err := e.pass(); err != nil {
		return nil, err
	}
	if err := e.settleHost(); err != nil {
		return nil, err
	}
	if e.wantFinal || e.c.choice("canonicalizehostname", "no") != "no" {
		e.final = true
		if err := e.pass(); err != nil {
			return nil, err
		}
	}
	if err := e.finish(); err != nil {
		return nil, err
	}
	return e.c, nil
}

// settleHost takes HostName into use, between the passes: from here on no line
// can change it, nor what decided about it.
func (e *evaluator) settleHost() error {
	host, err := e.currentHost()
	if err != nil {
		return err
	}
	for name, def := range canonicalDefaults {
		if _, set := e.c.values[name]; !set {
			e.c.replace(name, []string{def})
		}
	}
	if e.host, err = e.canonicalize(host); err != nil {
		return err
	}
	e.settled = true
	e.c.replace("hostname", []string{e.host})
	return nil
}

// currentHost is the host so far, HostName expanded.
func (e *evaluator) currentHost() (string, error) {
	name := e.c.str("hostname")
	if name == "" || e.settled {
		return e.host, nil
	}
	host, err := expand(name, hostTokens, func(byte) string { return e.host }, nil)
	if err != nil {
		return "", fatalf("hostname: %v", err)
	}
	return host, nil
}

// user is the remote user so far, as configured and not expanded.
func (e *evaluator) user() string {
	if u := e.c.str("user"); u != "" {
		return u
	}
	return e.in.LocalUser
}

// pass reads every file once.
func (e *evaluator) pass() error {
	own := scope{user: true, own: true, check: true}
	if err := e.optional(e.in.OwnFile, own); err != nil {
		return err
	}
	switch e.in.ConfigFile {
	case "":
	case "none", "None", "NONE":
		return nil
	default:
		return e.required(e.in.ConfigFile)
	}
	if err := e.optional(e.in.UserFile, scope{user: true, check: true}); err != nil {
		return err
	}
	return e.optional(e.in.SystemFile, scope{})
}

func (e *evaluator) required(path string) error {
	err := e.readFile(path, scope{user: true}, newBool(true), 0)
	var oe *openError
	if errors.As(err, &oe) {
		return fatalf("Can't open user config file %s: %v", path, oe.err)
	}
	return err
}

// optional reads a file that need not be there. One that cannot be opened is
// passed over like an absent one, as in ssh.
func (e *evaluator) optional(path string, s scope) error {
	if path == "" {
		return nil
	}
	err := e.readFile(path, s, newBool(true), 0)
	var oe *openError
	if errors.As(err, &oe) {
		return nil
	}
	return err
}

func newBool(b bool) *bool { return &b }

// options applies the command line.
func (e *evaluator) options() error {
	if e.in.StdioForward {
		// Unlike other options -W overrules those that stand before it.
		e.c.values["requesttty"], e.c.values["sessiontype"] = []string{"no"}, []string{"none"}
	} else if t := e.in.SessionType; t != "" {
		if err := e.option(Setting{Keyword: "SessionType", Value: t, Literal: true}); err != nil {
			return err
		}
	}
	for _, s := range e.in.Options {
		if s.Keyword == "" {
			continue
		}
		if err := e.option(s); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluator) option(s Setting) error {
	l := line{file: s.Origin, keyword: lowerASCII(s.Keyword), rest: s.Value, option: true, literal: s.Literal, user: true}
	if l.file == "" {
		l.file = commandLine
	}
	active := true
	err := e.apply(&l, scope{user: true, own: true}, &active, 0)
	return e.merge(nil, err)
}

// merge turns the fault of a line, and the faults of the lines before it, into
// an *Error; it leaves alone what is none.
func (e *evaluator) merge(before []string, err error) error {
	var bad *badLine
	var end *abort
	var fatal *Error
	switch {
	case errors.As(err, &bad):
		return &Error{Lines: append(before, bad.msgs...)}
	case errors.As(err, &end):
		return &Error{Lines: append(before, end.msg)}
	case errors.As(err, &fatal):
		return &Error{Lines: append(before, fatal.Lines...)}
	}
	return err
}
