package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// trip is one session: what it was to do, and what came of it.
type trip struct {
	id       int
	host     string
	kind     string // down, up, echo or tiny
	piece    []byte // of the corpus: what is to arrive
	json     bool   // the error is wanted as an object
	killed   bool   // muxc was, by us
	code     int
	err      string
	got      prefix
	took     time.Duration
	mayRun   bool // muxc said that the command may have run, or we cannot know
	problems []string
}

// prefix takes bytes that must be those it expects, in order, and not more.
type prefix struct {
	want []byte
	n    int
	bad  bool
}

func (p *prefix) Write(b []byte) (int, error) {
	if p.bad = p.bad || !bytes.HasPrefix(p.want[p.n:], b); !p.bad {
		p.n += len(b)
	}
	return len(b), nil
}

const tinyStatus = 7

// plan draws a session.
func (s *soak) plan(r *rand.Rand, id int) *trip {
	size := 1 << r.IntN(22)
	off := r.IntN(corpusSize - size)
	tr := &trip{id: id, host: s.names[r.IntN(len(s.names))], kind: []string{"down", "up", "echo", "tiny"}[r.IntN(4)],
		piece: s.corpus[off : off+size], json: r.IntN(2) == 0, killed: r.IntN(12) == 0}
	if tr.kind == "tiny" {
		tr.piece = []byte(fmt.Sprint("tiny ", id, "\n"))
	}
	if tr.kind != "up" {
		tr.got.want = tr.piece
	}
	return tr
}

func (s *soak) file(what string, tr *trip) string {
	return filepath.Join(s.dir, fmt.Sprint(what, ".", tr.id))
}

// command is what runs on the other side. Its first act tells that it ran.
func (s *soak) remote(tr *trip) string {
	ran := fmt.Sprintf("echo x >>%s; ", s.file("ran", tr))
	switch tr.kind {
	case "down":
		off := cap(s.corpus) - cap(tr.piece)
		return ran + fmt.Sprintf("tail -c +%d %s/corpus | head -c %d", off+1, s.dir, len(tr.piece))
	case "up":
		return ran + "exec cat >" + s.file("up", tr)
	case "echo":
		return ran + "exec cat"
	}
	return ran + fmt.Sprintf("echo tiny %d; exit %d", tr.id, tinyStatus)
}

// travel makes a session and judges what can be judged at once.
func (s *soak) travel(r *rand.Rand, tr *trip) {
	var args []string
	if tr.json {
		args = append(args, "-o", "ErrorFormat=json")
	}
	if r.IntN(6) == 0 {
		args = append(args, "-o", "WaitForReady=no")
	}
	c := s.muxc(append(args, tr.host, s.remote(tr))...)
	var stderr output
	c.Stdout, c.Stderr = &tr.got, &stderr
	if tr.kind == "up" || tr.kind == "echo" {
		c.Stdin = bytes.NewReader(tr.piece)
	}
	c.WaitDelay = long // shorter, and a busy machine has not read yet what was written
	limit := soakBound
	if tr.killed {
		limit = time.Duration(r.IntN(1000)) * time.Millisecond
	}
	if err := c.Start(); err != nil {
		tr.problem("start: %v", err)
		return
	}
	began := time.Now()
	end := time.AfterFunc(limit, func() { c.Process.Kill() })
	if err := c.Wait(); errors.Is(err, exec.ErrWaitDelay) {
		tr.problem("its outputs are held by somebody")
	}
	tr.took = time.Since(began)
	tr.code, tr.err = c.ProcessState.ExitCode(), stderr.String()
	stopped := !end.Stop() && c.ProcessState.Sys().(syscall.WaitStatus).Signaled()
	if stopped && !tr.killed {
		tr.problem("it hung, and was killed after %v", tr.took)
	}
	tr.killed = stopped
	s.judge(tr)
}

func (tr *trip) problem(format string, args ...any) {
	tr.problems = append(tr.problems, fmt.Sprintf(format, args...))
}

// judge looks at the end of muxc and at what it wrote.
func (s *soak) judge(tr *trip) {
	status, all := 0, len(tr.got.want)
	if tr.kind == "tiny" {
		status = tinyStatus
	}
	if tr.got.bad {
		tr.problem("behind byte %d came what was not sent there", tr.got.n)
	}
	switch {
	case tr.killed:
		tr.mayRun = true
		s.count("killed")
	case tr.code == status:
		tr.mayRun = true
		s.count("all went well")
		if tr.got.n != all || tr.err != "" {
			tr.problem("success with %d of %d bytes, stderr %q", tr.got.n, all, tr.err)
		}
	case tr.code == 255:
		s.count("failed")
		s.judgeLine(tr)
	default:
		tr.problem("exit status %d, stderr %q", tr.code, tr.err)
	}
}

// ranLine is what is said of a command that may have run, or has.
var ranLine = regexp.MustCompile("may have run|may still be running|some of its output may be missing")

var soakLine = regexp.MustCompile(`\Amuxc: (\S+): ([^\n]+)\n\z`)

// judgeLine looks at how a failure was told.
func (s *soak) judgeLine(tr *trip) {
	var v struct {
		Host, Phase, Error string
		MayHaveRun         bool `json:"may_have_run"`
	}
	if m := soakLine.FindStringSubmatch(tr.err); m != nil && !tr.json {
		v.Host, v.Error = m[1], m[2]
		v.MayHaveRun = ranLine.MatchString(v.Error)
	} else if !tr.json || strings.Count(tr.err, "\n") != 1 || json.Unmarshal([]byte(tr.err), &v) != nil {
		tr.problem("not one line: %q", tr.err)
	}
	if tr.mayRun = v.MayHaveRun; v.Host != tr.host || v.Error == "" {
		tr.problem("it is about %q, not %q: %q", v.Host, tr.host, tr.err)
	}
	s.count("failed: " + vague.ReplaceAllString(v.Error, "N"))
}

// vague are the numbers in a cause, which tell no two kinds apart.
var vague = regexp.MustCompile(`\d[\d.:msµh]*`)

// work keeps fifty sessions running for that long, and returns when the last
// has ended.
func (s *soak) work(d time.Duration) {
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for i := range soakers {
		wg.Go(func() {
			r := s.random(1000 + i)
			for n := 0; n == 0 || time.Now().Before(end); n++ {
				tr := s.plan(r, i+soakers*n)
				s.travel(r, tr)
				s.mu.Lock()
				s.done = append(s.done, tr)
				s.longest = max(s.longest, tr.took)
				s.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// verify looks at what the other side did, once nothing runs there any more.
func (s *soak) verify() {
	s.t.Helper()
	for _, tr := range s.done {
		ran := strings.Count(maybe(s.file("ran", tr)), "x")
		switch {
		case ran > 1:
			tr.problem("it ran %d times", ran)
		case ran > 0 && !tr.mayRun:
			tr.problem("it ran, and muxc said that it did not")
		case ran == 0 && !tr.killed && tr.code != 255:
			tr.problem("it succeeded without having run")
		}
		if up := maybe(s.file("up", tr)); tr.kind == "up" {
			if !bytes.HasPrefix(tr.piece, []byte(up)) || tr.code == 0 && len(up) != len(tr.piece) {
				tr.problem("%d bytes of %d arrived at the server, a prefix: %v", len(up), len(tr.piece), bytes.HasPrefix(tr.piece, []byte(up)))
			}
		}
		for _, p := range tr.problems {
			s.t.Errorf("session %d to %s, %s of %d bytes, %v, exit %d, %q: %s", tr.id, tr.host, tr.kind, len(tr.piece), tr.took.Round(time.Millisecond), tr.code, tr.err, p)
		}
	}
}
