package sshlink

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/x11"
)

// Display is the display that a session forwards. The server's side is
// given a cookie that is good for nothing but to say, when a program there
// connects, which session it belongs to; the display's own stays here (RFC 4254
// section 6.3; clientloop.c, x11_request_forwarding_with_spoofing).
type Display struct {
	display x11.Display
	real    x11.Auth
	fake    x11.Cookie
	trusted bool
	timeout time.Duration // of an untrusted one; 0 is none
	until   time.Time     // written by begin; zero: for as long as the session lasts
}

// LendDisplay finds out how to lend the display that the session is to forward.
// What goes wrong with that costs no session: the person is told. It asks xauth
// by way of the client, whose environment says where the cookies are.
func LendDisplay(ctx context.Context, d *dest.Destination, r *control.SessionRequest, p control.Prompter) *Display {
	x := r.X11
	if x == nil || p == nil {
		return nil
	}
	failed := func(err error) *Display {
		if d.Conf.Informs() {
			p.Notice("Warning: X11 forwarding setup failed: " + control.CleanLine(err.Error()))
		}
		return nil
	}
	display, err := x11.ParseDisplay(x.Display)
	if err != nil {
		return failed(err)
	}
	run := func(ctx context.Context, args []string) ([]byte, error) {
		ran, err := p.Run(ctx, control.Command{Kind: control.CommandOutput, Args: args})
		if err == nil && ran.Status != 0 {
			err = fmt.Errorf("%s ended with status %d", args[0], ran.Status)
		}
		return ran.Output, err
	}
	auth, warning, err := x11.Credentials(ctx, run, x.XAuth, x.Display, x.Trusted, x.Timeout, privateDir)
	if err != nil {
		return failed(err)
	}
	if warning != "" && d.Conf.Informs() {
		p.Notice(warning)
	}
	return &Display{display: display, real: auth, fake: x11.NewFake(), trusted: x.Trusted, timeout: x.Timeout}
}

// privateDir is a directory for a file of cookies, and what removes it.
func privateDir() (string, func(), error) {
	dir, err := os.MkdirTemp("", "muxd-x11-")
	return dir, func() { os.RemoveAll(dir) }, err
}

// lends asks for what the session is to lend: the requests come before the
// terminal's, as ssh has them. Only the display's is answered, because a server
// that has none is worth a word, and nothing else is.
func (s *Session) lends(r *control.SessionRequest) error {
	if s.l.Distrusted {
		if (r.Agent != "" || s.display != nil) && s.user.P != nil && s.user.Dest.Conf.Informs() {
			s.user.P.Notice("muxc: " + s.host + ": " + ErrDistrusted.Error())
		}
		return nil
	}
	if x := s.display; x != nil {
		ok, err := s.ch.SendRequest("x11-req", true, x.fake.Request(x.display.Screen))
		if err != nil {
			return err
		}
		if !ok && s.user.Dest.Conf.Informs() {
			s.user.P.Notice("X11 forwarding request failed")
		}
		if !x.trusted && x.timeout > 0 {
			s.l.mu.Lock()
			x.until = time.Now().Add(x.timeout)
			s.l.mu.Unlock()
		}
	}
	if r.Agent != "" {
		return s.lendsAgent()
	}
	return nil
}

// lendDisplay connects a channel to the display of the session whose cookie the
// program at the other end brings.
func (l *Link) lendDisplay(c ssh.NewChannel) bool {
	if l.lender((*Session).lendsDisplay) == nil {
		return false
	}
	l.lend(c, func() {
		ch, err := l.accept(c)
		if err != nil {
			return
		}
		// A program that never says who it is holds its place for no longer.
		late := time.AfterFunc(lendTimeout, func() { ch.Close() })
		setup, err := x11.ReadSetup(ch)
		if !late.Stop() || err != nil {
			ch.Close()
			return
		}
		s := l.lender(func(s *Session) bool { return s.lendsDisplay() && s.display.fake.Matches(setup) })
		if s == nil {
			l.Log.Info("X11 connection with a wrong cookie, refused")
			ch.Write(setup.Refusal("muxd: no session lends a display for this cookie, or not any more"))
			ch.Close()
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), lendTimeout)
		defer cancel()
		nc, err := l.DialDisplay(ctx, s.display.display)
		if err != nil {
			l.Log.Info("display cannot be lent", "err", err)
			ch.Close()
			return
		}
		defer nc.Close()
		if _, err := nc.Write(setup.With(s.display.real.Proto, s.display.real.Data)); err != nil {
			ch.Close()
			return
		}
		relay(ch, nc, nil, s.over)
	})
	return true
}

// lendsDisplay is called with the link's mu held.
func (s *Session) lendsDisplay() bool {
	return s.display != nil && (s.display.until.IsZero() || time.Now().Before(s.display.until))
}
