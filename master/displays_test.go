package master

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
	"muxd/internal/x11"
)

// displays are the X servers of this machine, in memory. The cookie of each is
// made of its name.
type displays struct {
	t *testing.T

	mu     sync.Mutex
	seen   []string // guarded by mu; "DISPLAY COOKIE" of every connection
	xauths []string // guarded by mu; what xauth was called with
	deaf   bool     // guarded by mu; connects to nobody, in time
}

// displays has every display be there that DISPLAY can name.
func (r *rig) displays() *displays {
	ds := &displays{t: r.t}
	r.m.cfg.DialDisplay = func(ctx context.Context, display string) (net.Conn, error) {
		ds.mu.Lock()
		deaf := ds.deaf
		ds.mu.Unlock()
		if deaf {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		near, far := sshtest.Pipe()
		go ds.serve(display, far)
		return near, nil
	}
	return ds
}

func (ds *displays) serve(display string, c net.Conn) {
	defer c.Close()
	s, err := x11.ReadSetup(c)
	if err != nil {
		return
	}
	ds.mu.Lock()
	ds.seen = append(ds.seen, display+" "+hex.EncodeToString(s.Data))
	ds.mu.Unlock()
	ok := s.Refusal("")
	ok[0] = 1
	c.Write(ok)
	io.Copy(c, c)
}

// saw are the connections to displays so far.
func (ds *displays) saw() []string {
	synctest.Wait()
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return slices.Clone(ds.seen)
}

// cookieOf is what a display lets in; one for untrusted clients is another.
func cookieOf(display string, untrusted bool) string {
	b := []byte(strings.Repeat(display, 16))[:16]
	if untrusted {
		b[15] = '!'
	}
	return hex.EncodeToString(b)
}

// client is one whose xauth knows the cookies.
func (ds *displays) client() *person {
	p := &person{}
	p.OnRun = func(_ context.Context, c control.Command) (control.Ran, error) {
		ds.mu.Lock()
		ds.xauths = append(ds.xauths, strings.Join(c.Args[1:], " "))
		ds.mu.Unlock()
		args := c.Args[1:]
		untrusted := args[0] == "-f"
		if untrusted {
			if st, err := os.Stat(filepath.Dir(args[1])); err != nil || st.Mode().Perm() != 0o700 {
				ds.t.Errorf("the file of cookies is in no private directory: %v", err)
			}
			args = args[2:]
		}
		if args[0] == "list" {
			return control.Ran{Output: []byte(args[1] + "  MIT-MAGIC-COOKIE-1  " + cookieOf(args[1], untrusted) + "\n")}, nil
		}
		return control.Ran{}, nil
	}
	return p
}

// shows opens a session of a client at that display.
func (r *rig) shows(p *person, display string, args ...string) *sshlink.Session {
	r.t.Helper()
	r.env = []string{"DISPLAY=" + display}
	s, err := r.ask(context.Background(), p, args...)
	if err != nil {
		r.t.Fatalf("%q: %v", args, err)
	}
	synctest.Wait()
	return s.(*sshlink.Session)
}

// program is an X client at the far end that shows a cookie, in hexadecimal: what
// it is told, and its channel.
func (r *rig) program(p *sshtest.Peer, cookie string) (string, ssh.Channel) {
	r.t.Helper()
	ch, err := p.OpenX11()
	if err != nil {
		return err.Error(), nil
	}
	b, _ := hex.DecodeString(cookie)
	ch.Write(sshtest.X11Setup(binary.LittleEndian, "MIT-MAGIC-COOKIE-1", b))
	return sshtest.X11Answer(ch, binary.LittleEndian), ch
}

// cookies are those that the server's sessions were given, oldest first; a
// session without is "".
func (r *rig) cookies() (all []string) {
	for _, s := range r.srv.Sessions() {
		c := ""
		if x := s.X11(); x != nil {
			c = x.Cookie
		}
		all = append(all, c)
	}
	return all
}

const wrongCookie = "failed muxd: no session lends a display for this cookie, or not any more"

// Every session has a cookie of its own, and its programs come to the display of
// its client, with that display's own cookie. The server learns none of these.
func TestDisplaysOfTwoSessions(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		ds := r.displays()
		plain := r.open("host", "cat")
		peer := r.srv.Last()
		if got, _ := r.program(peer, cookieOf(":1", false)); got != nobodyLends {
			t.Errorf("nobody asked: %s", got)
		}
		p := ds.client()
		one, two := r.shows(p, ":1.2", "-Y", "host", "cat"), r.shows(p, ":2", "-Y", "host", "cat")
		r.wantLogins(1)
		fakes := r.cookies()
		if len(fakes) != 3 || fakes[0] != "" || len(fakes[1]) != 32 || len(fakes[2]) != 32 || fakes[1] == fakes[2] {
			t.Fatalf("cookies %q", fakes)
		}
		if x := r.srv.Sessions()[1].X11(); x.Screen != 2 || x.Single || x.Proto != "MIT-MAGIC-COOKIE-1" {
			t.Errorf("%+v", x)
		}
		for _, i := range []int{1, 2, 1} { // the older one's too
			got, ch := r.program(peer, fakes[i])
			if got != "success" {
				t.Error(got)
			}
			ch.Write([]byte("draw"))
			if _, err := io.ReadFull(ch, make([]byte, 4)); err != nil {
				t.Error(err)
			}
			ch.Close()
		}
		want := []string{":1.2 " + cookieOf(":1.2", false), ":2 " + cookieOf(":2", false), ":1.2 " + cookieOf(":1.2", false)}
		if got := ds.saw(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		// The real cookies, nearly the right one, none.
		for _, wrong := range []string{cookieOf(":1.2", false), fakes[1][:30] + "00", fakes[1][:30], ""} {
			if got, _ := r.program(peer, wrong); got != wrongCookie {
				t.Errorf("%q: %s", wrong, got)
			}
		}
		_, ch := r.program(peer, fakes[1])
		one.Close()
		synctest.Wait()
		if _, err := ch.Read(make([]byte, 1)); err == nil {
			t.Error("a program outlives the session at whose display it is")
		}
		if got, _ := r.program(peer, fakes[1]); got != wrongCookie {
			t.Errorf("after its end: %s", got)
		}
		if got, _ := r.program(peer, fakes[2]); got != "success" {
			t.Errorf("the other one: %s", got)
		}
		two.Close()
		synctest.Wait()
		if got, _ := r.program(peer, fakes[2]); got != nobodyLends {
			t.Error(got)
		}
		if told := p.Told(); told != "" {
			t.Errorf("told %q", told)
		}
		plain.Close()
	})
}

// With -X the display lends what it made for that, and new programs are let
// through for ForwardX11Timeout; those that are there stay.
func TestUntrustedDisplay(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		ds := r.displays()
		s := r.shows(ds.client(), ":1", "-X", "-o", "ForwardX11Timeout=300", "host", "cat")
		endless := r.shows(ds.client(), ":2", "-X", "-o", "ForwardX11Timeout=0", "host", "cat")
		trusted := r.shows(ds.client(), ":3", "-Y", "-o", "ForwardX11Timeout=300", "host", "cat")
		peer, fakes := r.srv.Last(), r.cookies()
		if got := ds.xauths[0]; !strings.HasSuffix(got, " generate :1 MIT-MAGIC-COOKIE-1 untrusted timeout 360") {
			t.Errorf("xauth %s", got)
		}
		if _, err := os.Stat(filepath.Dir(strings.Fields(ds.xauths[0])[1])); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file of cookies is left: %v", err)
		}
		got, there := r.program(peer, fakes[0])
		if want := []string{":1 " + cookieOf(":1", true)}; got != "success" || !slices.Equal(ds.saw(), want) {
			t.Errorf("%s, %q", got, ds.saw())
		}
		just(t, 5*time.Minute, "new programs are let through", func() bool {
			got, _ := r.program(peer, fakes[0])
			return got == "success"
		})
		if got, _ := r.program(peer, fakes[0]); got != wrongCookie {
			t.Error(got)
		}
		there.Write([]byte("draw"))
		if _, err := io.ReadFull(there, make([]byte, 4)); err != nil {
			t.Errorf("a program that was there: %v", err)
		}
		time.Sleep(24 * time.Hour)
		for i, fake := range fakes[1:] {
			if got, _ := r.program(peer, fake); got != "success" {
				t.Errorf("session %d: %s", i+1, got)
			}
		}
		endless.Close()
		trusted.Close()
		synctest.Wait()
		if got, _ := r.program(peer, fakes[0]); got != nobodyLends {
			t.Errorf("the one whose time is over alone: %s", got)
		}
		s.Close()
	})
}

// What cannot be had is told and costs no session; -q tells nothing.
func TestDisplayThatIsNotToBeHad(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		ds := r.displays()
		for _, c := range []struct {
			display, args, told string
			refuse, broken      bool
		}{
			{":1", "-Y", "X11 forwarding request failed", true, false},
			{":1", "-q -Y", "", true, false},
			{"nonsense", "-Y", "Warning: X11 forwarding setup failed: DISPLAY \"nonsense\"", false, false},
			{":1", "-X", "Warning: X11 forwarding setup failed: untrusted X11 forwarding setup failed: xauth key data not generated", false, true},
			{":1", "-q -X", "", false, true},
			{":1", "-Y", "Warning: No xauth data; using fake authentication data for X11 forwarding.", false, true},
			{"", "-Y", "", false, false},
		} {
			r.srv.Update(func(o *sshtest.Options) { o.RefuseX11 = c.refuse })
			p := ds.client()
			if c.broken {
				p.OnRun = func(context.Context, control.Command) (control.Ran, error) { return control.Ran{Status: 1}, nil }
			}
			s := r.shows(p, c.display, append(strings.Fields(c.args), "host", "echo", "runs")...)
			if out, _, err := finish(s); out != "runs\n" || err != nil {
				t.Errorf("%+v: %q, %v", c, out, err)
			}
			if got := p.Told(); !strings.HasPrefix(got, c.told) || c.told == "" && got != "" {
				t.Errorf("%+v: told %q", c, got)
			}
		}
		if asked := r.srv.Count(sshtest.ChannelRequest, "x11-req"); asked != 3 {
			t.Errorf("%d requests, want those of a display that there is", asked)
		}
	})
}

// A program that does not say who it is is let go after 10 s, and so is one whose
// display does not answer. A thousand of them hold up nobody.
func TestSilentPrograms(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		ds := r.displays()
		s := r.shows(ds.client(), ":1", "-Y", "host", "cat")
		peer, fake := r.srv.Last(), r.cookies()[0]
		ch, err := peer.OpenX11()
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { ch.Read(make([]byte, 1)); close(ended) }()
		open := func() bool {
			select {
			case <-ended:
				return false
			default:
				return true
			}
		}
		just(t, lendTimeout, "it is waited for", open)
		ch.Close()

		var mu sync.Mutex
		refused, taken := 0, []ssh.Channel{}
		for range 1000 {
			go func() {
				ch, err := peer.OpenX11()
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					refused++
				} else {
					taken = append(taken, ch)
				}
			}()
		}
		synctest.Wait()
		if refused != 1000-maxLent {
			t.Errorf("%d were refused", refused)
		}
		began := time.Now()
		if got, err := exchangeStream(s, "here"); got != "here" || err != nil || time.Since(began) > time.Second {
			t.Errorf("%q, %v after %v", got, err, time.Since(began))
		}
		time.Sleep(lendTimeout + time.Second)
		for _, ch := range taken {
			ch.Close()
		}
		synctest.Wait()
		if got, _ := r.program(peer, fake); got != "success" {
			t.Errorf("after them: %s", got)
		}
		ds.mu.Lock()
		ds.deaf = true
		ds.mu.Unlock()
		began = time.Now()
		if got, _ := r.program(peer, fake); got != "closed" || time.Since(began) != lendTimeout {
			t.Errorf("a display that does not answer: %s after %v", got, time.Since(began))
		}
		s.Close()
	})
}
