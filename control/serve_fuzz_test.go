package control_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// FuzzServe has a client say anything behind a request that is in order, with
// descriptors at any byte of it, before and after muxd has asked for some. The
// operation ends with the client, and neither a descriptor nor a goroutine stays.
func FuzzServe(f *testing.F) {
	resize := control.Frame(control.FrameResize, control.WindowBody(control.Window{Cols: 80, Rows: 24}))
	for _, s := range [][]byte{
		{},
		resize,
		control.Frame(control.FramePassed, []byte{1}),
		control.Frame(control.FramePassed, []byte{2 | 8}),
		append(control.Frame(control.FramePassed, []byte{6}), control.Frame(control.FramePassed, []byte{1})...),
		control.Frame(control.FrameAnswer, control.AnswerBody(1, "yes")),
		control.Frame(control.FrameSignal, []byte("\x00\x00\x00\x03INT")),
		append(control.Frame(control.FrameStdin, []byte("in")), control.Frame(control.FrameStdinEOF, nil)...),
		bytes.Repeat(resize, 50),
	} {
		for n := range byte(6) {
			f.Add(s, uint16(0), n, false)
			f.Add(s, uint16(5), n, true)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { null.Close() })
	f.Fuzz(func(t *testing.T, said []byte, at uint16, n byte, much bool) {
		before := fds(t)
		r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) {
			if much {
				s.Out.Write(make([]byte, control.PassFrom+1)) // has muxd ask for the outputs
			}
			io.Copy(s.Out, s.In)
			s.End(control.Exit{}, nil)
		}))
		c, done := r.dial()
		c.SetDeadline(time.Now().Add(patience))
		go io.Copy(io.Discard, c)
		c.Write(control.Opening(&control.Invocation{Args: []string{"h"}}))
		if much { // and for the input
			for range control.PassFrom >> 16 {
				c.Write(control.Frame(control.FrameStdin, make([]byte, 64<<10)))
			}
		}
		cut := int(at) % (len(said) + 1)
		c.Write(said[:cut])
		if with := slices.Repeat([]int{int(null.Fd())}, int(n)%6); cut < len(said) && len(with) > 0 {
			c.WriteFDs(said[cut:], with...)
		} else {
			c.Write(said[cut:])
		}
		c.HalfClose()
		controltest.Get(t, done)
		c.Close()
		settled(t, before)
	})
}

// FuzzAnswers has muxd say anything to a client, whose operation ends when muxd
// does, without a success that was not said.
func FuzzAnswers(f *testing.F) {
	hello := control.Hello{Version: control.Version, PID: 1}.Bytes()
	exit := control.Frame(control.FrameExit, control.ExitBody(control.Exit{Code: 3}))
	f.Add([]byte{})
	f.Add(hello)
	f.Add(append(hello[:len(hello):len(hello)], exit...))
	f.Add(append(append(hello[:len(hello):len(hello)], control.Frame(control.FrameOpened, control.NumberBody(9))...), control.Frame(control.FrameStdout, []byte("out"))...))
	f.Add(append(append(hello[:len(hello):len(hello)], control.Frame(control.FramePrompt, control.PromptBody(1, control.Prompt{Kind: control.PromptText, Text: "?"}))...), control.Frame(control.FramePromptOff, control.NumberBody(1))...))
	f.Add(control.Hello{Version: control.Version, Welcome: control.TooBusy, Text: "busy"}.Bytes())
	f.Fuzz(func(t *testing.T, said []byte) {
		c, s := controltest.Pipe()
		defer c.Close()
		v := &control.Invocation{Args: []string{"h"}}
		go func() {
			defer s.Close()
			io.CopyN(io.Discard, s, int64(len(control.Opening(v))))
			s.Write(said)
		}()
		op, err := control.Run(c, v)
		if err != nil {
			return
		}
		o := controltest.Get(t, wait(op, new(controltest.Screen)))
		if o.err == nil && !bytes.Contains(said, []byte{control.FrameExit}) {
			t.Errorf("success was not said: %+v", o.exit)
		}
		op.Close()
	})
}

// FuzzFindings: what doctor says comes back as it was, a line each.
func FuzzFindings(f *testing.F) {
	f.Add("problem", "a\tb\nc", "cure\x1b[2J")
	f.Add("", "", "cure")
	f.Fuzz(func(t *testing.T, level, text, cure string) {
		control.ParseFindings(level + text + cure)
		line := control.Finding{Level: control.FindingNote, Text: text, Cure: cure}.String()
		got := control.ParseFindings(line + "\n" + line)
		if len(got) == 0 && control.CleanLine(text) == "" {
			return
		}
		if len(got) != 2 || got[0] != got[1] || got[0].Level != control.FindingNote || got[0].String() != line {
			t.Errorf("%q is read as %q", line, got)
		}
	})
}
