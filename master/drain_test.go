package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/gate"
	"muxd/internal/sshtest"
)

// drained has muxd drain, and is how that went.
func (r *rig) drained(ctx context.Context, waits func(control.Waiting)) <-chan error {
	done := make(chan error, 1)
	go func() {
		st, err := r.m.Stop(ctx, &control.StopRequest{Drain: true, Waits: waits})
		if err == nil && (!st.Done || st.Sessions != 0) {
			err = errors.New("it ended with something left")
		}
		done <- err
	}()
	synctest.Wait()
	return done
}

// A muxd that drains refuses what is new, keeps what runs, says what it waits for
// and ends with the last of it.
func TestDrain(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		drains := 0
		r.m.cfg.OnDrain = func() { drains++ }
		s := r.open("host", "cat")
		var last string
		done := r.drained(t.Context(), func(w control.Waiting) { last = w.Cause })
		_, err := r.ask(t.Context(), nil, "host", "true")
		wantError(t, err, control.NotDialled, "host: this muxd takes on nothing new", "muxd stop --drain")
		if !errors.Is(err, control.ErrNotTaken) {
			t.Error("another muxd is not asked")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if last != "host: cat (pid 0)" || r.stop != 0 || drains != 1 {
			t.Errorf("it waits for %q, %d stops, %d drains", last, r.stop, drains)
		}
		second := r.drained(t.Context(), nil) // a further one only waits
		s.Write([]byte("to the end"))
		s.CloseWrite()
		if out, _, err := finish(s); out != "to the end" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
		time.Sleep(drainLook)
		answered(t, done)
		answered(t, second)
		if r.stop != 1 || drains != 1 {
			t.Errorf("%d stops, %d drains", r.stop, drains)
		}
	})
}

// Everybody who waits for a drain hears of it, though muxd ends with it at once;
// where muxd ends before, nobody hears that it has drained.
func TestDrainIsToldToEverybody(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.m.cfg.OnStop = func() { go r.m.Close() }
		s := r.open("host", "cat")
		first := r.drained(t.Context(), nil)
		time.Sleep(drainLook / 2)
		second := r.drained(t.Context(), nil) // looks half a drainLook after what ends muxd
		s.CloseWrite()
		finish(s)
		time.Sleep(drainLook / 2)
		answered(t, first)
		answered(t, second)
	})
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.open("host", "cat")
		done := r.drained(t.Context(), nil)
		r.m.Close()
		for _, done := range []<-chan error{done, r.drained(t.Context(), nil)} {
			if err := <-done; !errors.Is(err, errStopping) {
				t.Error(err)
			}
		}
	})
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.m.Close()
		if err := <-r.drained(t.Context(), nil); !errors.Is(err, errStopping) {
			t.Error(err)
		}
	})
}

// It drains also when whoever asked has gone.
func TestDrainGoesOnAlone(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "1h")
		ctx, cancel := context.WithCancel(t.Context())
		done := r.drained(ctx, nil)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		finish(s)
		time.Sleep(drainLook)
		synctest.Wait()
		if r.stop != 1 {
			t.Errorf("%d stops", r.stop)
		}
	})
}

// What waits for a connection is sent away at once, and connections that nobody
// uses are not kept.
func TestDrainKeepsNothingIdle(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		r.run("-o", "Pinned=yes", "host", "true")
		other := make(chan error, 1)
		req := r.request("-p", "23", "host", "true")
		out := r.down(errDown)
		go func() { _, err := r.m.Session(context.Background(), req, nil); other <- err }()
		time.Sleep(time.Second)
		done := r.drained(t.Context(), nil)
		err := <-other
		wantError(t, err, control.Refused, "host: this muxd takes on nothing new")
		if !errors.Is(err, control.ErrNotTaken) {
			t.Error("another muxd is not asked")
		}
		answered(t, done)
		for _, h := range r.m.all() {
			if st := h.status(); len(st.Links) > 0 || st.State != "idle" {
				t.Errorf("%s: %d connections, %s", st.Addr, len(st.Links), st.State)
			}
		}
		out.heal()
		time.Sleep(time.Hour)
		r.wantLogins(1)
	})
}

// Whoever waits asks the next muxd, also where this one ends before anybody has
// heard of it, and so does who comes to the host behind the others.
func TestDrainSendsEverybodyElsewhere(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"drain":                 func(r *rig) { r.m.gate.Drain(); r.m.beginDrain() },
		"a request for the end": func(r *rig) { r.m.gate.EndIf(func() bool { return true }) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				r.patient()
				r.down(errDown)
				const each = 20
				got := make(chan error)
				wait := func() {
					for range each {
						req := r.request("host", "true")
						go func() {
							ls, err := r.m.acquire(context.Background(), req.Dest.(*dest.Destination), req, nil, nil)
							if err == nil {
								ls.release()
							}
							got <- err
						}()
					}
				}
				wait()
				time.Sleep(time.Second)
				end(r)
				wait()
				r.m.Close()
				wait()
				for range 3 * each {
					if err := <-got; !gate.Elsewhere(err) {
						t.Error(err)
					}
				}
			})
		})
	}
}

// A client that keeps the connection is waited for, and named; one that stands
// for a ControlPath is not.
func TestDrainWaitsForWhoHolds(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s, err := r.held(nil, "host")
		if err != nil {
			t.Fatal(err)
		}
		plan, err := r.plan(nil, "-N", "host")
		if err != nil {
			t.Fatal(err)
		}
		plan.Hold.Serves = true
		serving, err := r.m.Hold(context.Background(), plan.Hold, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer serving.Close()
		var last string
		done := r.drained(t.Context(), func(w control.Waiting) { last = w.Cause })
		time.Sleep(time.Hour)
		synctest.Wait()
		if last != "host: -N (pid 0)" || r.stop != 0 {
			t.Errorf("it waits for %q, %d stops", last, r.stop)
		}
		_, err = r.held(nil, "host")
		wantError(t, err, control.NotDialled, "host: this muxd takes on nothing new")
		r.srv.Last().Drop() // it comes back for who holds it, also now
		time.Sleep(time.Minute)
		r.wantLogins(2)
		s.Close()
		time.Sleep(drainLook)
		answered(t, done)
	})
}

// A connection that came to a forward, of a client's or of nobody's, is waited for
// before it goes through: while the server connects, while there is no connection to
// the server, and while it has not said where it goes. So is one that came to a
// remote forward. Who asks for the end without a drain is told of it.
func TestDrainWaitsForWhatComesThroughForwards(t *testing.T) {
	slowly := func(ctx context.Context) {
		select {
		case <-ctx.Done():
		case <-time.After(time.Minute):
		}
	}
	for name, c := range map[string]struct {
		args  []string
		comes func(r *rig, s *shore) io.ReadWriteCloser
	}{
		"-L": {[]string{"-L", "8080:db:5432"}, func(r *rig, s *shore) io.ReadWriteCloser {
			r.srv.Update(func(o *sshtest.Options) {
				o.Direct = func(ctx context.Context, _ string) (io.ReadWriteCloser, error) {
					slowly(ctx)
					a, b := sshtest.Pipe()
					go func() { io.Copy(b, b); b.Close() }()
					return a, nil
				}
			})
			return s.mustConnect(r, "localhost:8080")
		}},
		"-L in an outage": {[]string{"-L", "8080:db:5432"}, func(r *rig, s *shore) io.ReadWriteCloser {
			out := r.down(errDown)
			r.srv.Last().Drop()
			synctest.Wait()
			time.AfterFunc(5*time.Second, out.heal)
			return s.mustConnect(r, "localhost:8080")
		}},
		"-D": {[]string{"-D", "1080"}, func(r *rig, s *shore) io.ReadWriteCloser {
			c := s.mustConnect(r, "localhost:1080")
			time.AfterFunc(time.Second, func() { c.Write([]byte("\x04\x01\x15\x38\x0a\x00\x00\x01\x00")) })
			return socksed{c}
		}},
		"-R": {[]string{"-R", "2222:localhost:22"}, func(r *rig, s *shore) io.ReadWriteCloser {
			s.echoes("localhost:22")
			to := s.targets["localhost:22"]
			s.targets["localhost:22"] = func() (net.Conn, error) { time.Sleep(20 * time.Second); return to() }
			c := &toCome{ready: make(chan struct{})}
			go func() { c.Channel, c.err = r.srv.Connect("localhost:2222"); close(c.ready) }()
			return c
		}},
	} {
		for _, sticky := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " sticky=", sticky), func(t *testing.T) {
				inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
					r.patient()
					s := r.ashore()
					r.run("host", "true")
					release := func() {}
					if sticky {
						if _, err := r.order(append([]string{"-O", "forward"}, append(c.args, "host")...)...); err != nil {
							t.Fatal(err)
						}
					} else {
						release = r.mustForward(append([]string{"-N"}, append(c.args, "host")...)...)
					}
					through := c.comes(r, s)
					synctest.Wait()
					if st, err := r.m.Stop(t.Context(), &control.StopRequest{}); err != nil || st.Done {
						t.Errorf("without a drain: %+v, %v", st, err)
					}
					var told string
					done := r.drained(t.Context(), func(w control.Waiting) { told = w.Cause })
					time.Sleep(5 * drainLook)
					if synctest.Wait(); r.stop != 0 || told != "host: 1 through forwards" {
						t.Errorf("%d stops, waits for %q", r.stop, told)
					}
					if _, err := through.Write([]byte("hello")); err != nil {
						t.Fatal(err)
					}
					if _, err := io.ReadFull(through, make([]byte, 5)); err != nil {
						t.Error(err)
					}
					through.Close()
					release()
					time.Sleep(2 * time.Second) // see settleMost in forward
					answered(t, done)
				})
			})
		}
	}
}

// socksed is a connection to a dynamic forward of which the answer is still to come.
type socksed struct{ *sshtest.Conn }

func (c socksed) Write(p []byte) (int, error) {
	if _, err := io.ReadFull(c.Conn, make([]byte, 8)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// toCome is a channel that is there once it is ready.
type toCome struct {
	ssh.Channel
	err   error
	ready chan struct{}
}

func (l *toCome) Write(p []byte) (int, error) {
	if <-l.ready; l.err != nil {
		return 0, l.err
	}
	return l.Channel.Write(p)
}

// A forward that is to stay, and is granted when muxd has begun to drain, does not:
// the next muxd wants its port, and is asked for it.
func TestDrainKeepsNoForwardThatWasOnItsWay(t *testing.T) {
	slow := sshtest.Options{Global: func(_ *sshtest.Peer, q *ssh.Request) bool {
		if q.Type == "tcpip-forward" {
			time.Sleep(time.Second)
		}
		return false
	}}
	inBubble(t, slow, func(t *testing.T, r *rig) {
		r.ashore()
		s := r.open("host", "cat")
		asked := make(chan error, 1)
		go func() {
			_, err := r.order("-O", "forward", "-L", "1:a:1", "-R", "2222:b:2", "host")
			asked <- err
		}()
		time.Sleep(time.Second / 2)
		done := r.drained(t.Context(), nil)
		err := <-asked
		wantError(t, err, control.Refused, "host: this muxd takes on nothing new")
		if !errors.Is(err, control.ErrNotTaken) {
			t.Error("another muxd is not asked")
		}
		if got := r.forwards(); got != "" {
			t.Errorf("left standing: %s", got)
		}
		s.Close()
		time.Sleep(drainLook)
		answered(t, done)
	})
}

// looking is a Learned by which a test has something happen while muxd looks at how
// one host after the other stands.
type looking struct {
	nothing
	at func(key string)
}

func (l looking) Warmth(key, _ string) alive.Warmth {
	l.at(key)
	return alive.Warmth{}
}

// A session that is opened while muxd looks whether it is done is not missed,
// neither where it was opened nor among those that are being opened.
func TestDrainMissesNoSession(t *testing.T) {
	for range 4 { // whether the host is the last that is looked at is drawn
		inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
			r.run("host", "true")
			its := r.host().key
			const others = 7
			for i := range others {
				h, err := r.m.host(r.request("-p", strconv.Itoa(i+1), "host").Dest.(*dest.Destination))
				if err != nil {
					t.Fatal(err)
				}
				r.m.unuse(h)
			}
			opened, looked := make(chan control.Stream, 1), 0
			var s control.Stream
			r.m.cfg.Learned = looking{at: func(key string) {
				if !r.m.gate.Drains() || key == its {
					return
				}
				if looked++; looked == others {
					s = <-opened
				}
			}}
			r.srv.Update(func(o *sshtest.Options) { o.OpenDelay = time.Second })
			go func() {
				s, err := r.ask(context.Background(), nil, "host", "cat")
				if err != nil {
					t.Error(err)
				}
				opened <- s
			}()
			time.Sleep(time.Second / 2) // it is being opened
			r.m.gate.Drain()
			r.m.beginDrain()
			time.Sleep(time.Minute)
			if synctest.Wait(); r.stop != 0 {
				t.Fatal("muxd has ended with a session open")
			}
			s.Close()
			time.Sleep(drainLook)
			if synctest.Wait(); r.stop != 1 {
				t.Error("it does not end")
			}
		})
	}
}

// A session whose server has ended it is waited for until its client has taken all
// that is left of it.
func TestDrainWaitsForWhoReadsSlowly(t *testing.T) {
	for name, open := range map[string]func(r *rig) control.Stream{
		"session": func(r *rig) control.Stream { return r.open("host", "echo", "much") },
		"-W": func(r *rig) control.Stream {
			s := r.forward("db:1", "host")
			s.Write([]byte("much\n")) // comes back
			s.CloseWrite()
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				s := open(r)
				synctest.Wait() // the server has closed it
				var told string
				done := r.drained(t.Context(), func(w control.Waiting) { told = w.Cause })
				time.Sleep(time.Hour)
				if synctest.Wait(); r.stop != 0 || !strings.HasSuffix(told, "or whose output its client has not taken") {
					t.Errorf("%d stops, waits for %q", r.stop, told)
				}
				if out, _, err := finish(s); out != "much\n" || err != nil {
					t.Errorf("%q, %v", out, err)
				}
				time.Sleep(drainLook)
				answered(t, done)
			})
		})
	}
}

// Nor does an end without a drain come under a session that is being opened.
func TestStopSeesASessionThatIsBeingOpened(t *testing.T) {
	inBubble(t, sshtest.Options{OpenDelay: time.Second}, func(t *testing.T, r *rig) {
		opened := make(chan error, 1)
		go func() { _, err := r.ask(context.Background(), nil, "host", "cat"); opened <- err }()
		time.Sleep(time.Second / 2)
		if st, err := r.m.Stop(t.Context(), &control.StopRequest{}); err != nil || st.Done || st.Sessions != 1 || r.stop != 0 {
			t.Errorf("%+v, %v", st, err)
		}
		if err := <-opened; err != nil {
			t.Error(err)
		}
	})
}

// Nor under one that waits for a connection, unless that is asked for; and a muxd of
// a later version waits for it.
func TestStopSeesWhoWaits(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		out := r.down(errDown)
		ran := make(chan error, 1)
		go func() { _, err := r.ask(context.Background(), nil, "host", "true"); ran <- err }()
		time.Sleep(time.Second)
		if st, err := r.m.Stop(t.Context(), &control.StopRequest{}); err != nil || st.Done || st.Sessions != 1 || r.stop != 0 {
			t.Errorf("%+v, %v", st, err)
		}
		if r.m.Yield() {
			t.Error("it makes way")
		}
		out.heal()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}
