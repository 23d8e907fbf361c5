package sshmux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// tries opens the rig's path for a host.
func (r *rig) tries(host string, shared bool) (control.Door, error) {
	q := listen(r.path(), host)
	q.Shared, q.PID = shared, 99
	return r.doors.Open(context.Background(), q, new(controltest.Screen))
}

// free reports whether nobody serves the path.
func (r *rig) free() bool {
	_, err := os.Lstat(r.path())
	return errors.Is(err, os.ErrNotExist) && r.doors.At(r.path()) == nil
}

// A path stands for one destination, and is shared by those who say so.
func TestOpen(t *testing.T) {
	r := newRig(t, nil)
	first := r.serve()
	for _, c := range []struct {
		host   string
		shared bool
	}{{"h", false}, {"other", true}, {"other", false}} {
		_, err := r.tries(c.host, c.shared)
		var taken *control.TakenError
		if !errors.As(err, &taken) || taken.Path != r.path() || taken.PID != 1234 {
			t.Errorf("%+v: %v", c, err)
		}
	}
	second, err := r.tries("h", true)
	must(t, err)
	if at := r.doors.At(r.path()); at == nil || at.String() != "h" {
		t.Errorf("it is served for %v", at)
	}
	r.greet().lives() // the first stands for it
	first.Close()
	first.Close() // nothing more
	c := r.greet()
	c.ask(&request{kind: aliveCheck, id: 1})
	c.expect(alive, uint32(1), uint32(99))
	second.Moved(1000)
	c.ask(&request{kind: aliveCheck, id: 2})
	c.expect(alive, uint32(2), uint32(1000))
	second.Moved(0) // no process: stock ssh would not take it for an answer
	c.ask(&request{kind: aliveCheck, id: 3})
	c.expect(alive, uint32(3), uint32(muxdPID))
	second.Close()
	c.ends() // with the last claim
	controltest.Get(t, second.Done())
	if !r.free() || !first.Ended() {
		t.Error("the path is still served")
	}
	_, err = r.tries("other", false)
	must(t, err)
}

// A path that another program serves, or that cannot be one, is told.
func TestOpenElsewhere(t *testing.T) {
	r := newRig(t, nil)
	r.serve()
	other := NewDoors(nil, quiet{}, 1, r.dir)
	defer other.Close()
	_, err := other.Open(context.Background(), listen(r.path(), "h"), nil)
	var taken *control.TakenError
	if !errors.As(err, &taken) || taken.PID != os.Getpid() {
		t.Errorf("%v", err)
	}
	for _, path := range []string{"relative", filepath.Join(r.dir, "missing", "s"), filepath.Join(r.dir, string(make([]byte, 120)))} {
		if _, err := r.doors.Open(context.Background(), listen(path, "h"), nil); err == nil {
			t.Errorf("%q is served", path)
		}
	}
	r.greet().lives()
}

// ssh -O stop ends the listening: who is in stays, and the path is free at once.
func TestStopListening(t *testing.T) {
	for _, how := range []string{"client", "StopPath", "Drain", "Stop"} {
		b, ch := sessions(false)
		r := newRig(t, b)
		door := r.serve()
		c, in := r.greet(), pipes(t)
		o := c.exec(ch, in)
		ctx, cancel := context.WithCancel(context.Background())
		drained := make(chan struct{})
		switch how {
		case "client":
			other := r.greet()
			other.ask(&request{kind: stopListening, id: 5})
			other.expect(ok, uint32(5))
			other.Close()
		case "StopPath":
			r.doors.StopPath("/elsewhere")
			r.doors.StopPath(r.path())
		case "Drain":
			go func() { door.Drain(ctx); close(drained) }()
			eventually(t, "it listens", door.Ended)
		case "Stop":
			r.doors.Stop()
			if _, err := r.tries("h", true); !errors.Is(err, errShut) {
				t.Errorf("at the end: %v", err)
			}
		}
		// The end of muxd is nobody's wish for this door's.
		if asked := how != "Stop"; !r.free() || door.Ended() != asked {
			t.Errorf("%s: free %v, ended %v", how, r.free(), door.Ended())
		}
		select {
		case <-door.Done():
			t.Errorf("%s: done while a client is there", how)
		case <-drained:
			t.Errorf("%s: drained while a client is there", how)
		default:
		}
		o.Out.Write([]byte("x"))
		reads(t, in.out, "x")
		c.lives()
		o.End(control.Exit{}, nil)
		c.expect(exitMessage, uint32(sessionID), uint32(0))
		controltest.Get(t, door.Done())
		if how == "Drain" {
			controltest.Get(t, drained)
		}
		cancel()
	}
}

// Drain ends with its context, and does nothing while others hold the door.
func TestDrain(t *testing.T) {
	r := newRig(t, nil)
	first := r.serve()
	second, err := r.tries("h", true)
	must(t, err)
	first.Drain(context.Background())
	c := r.greet()
	second.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	first.Drain(ctx)
	if !first.Ended() {
		t.Error("it still listens")
	}
	c.lives()
	first.Close()
	c.ends()
}

// ssh -O exit ends the connection, the path and who uses them.
func TestTerminate(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	gone, asked := make(chan struct{}), make(chan error, 1)
	b.OnManage = func(ctx context.Context, q *control.ManageRequest) (*control.Managed, error) {
		if !r.free() {
			t.Error("the connection ends before the door")
		}
		if q.Command != "exit" || q.Dest.String() != "h" {
			t.Errorf("%+v", q)
		}
		<-gone
		select {
		case <-ctx.Done(): // the client went, and the request with it
		case <-time.After(20 * time.Millisecond):
		}
		asked <- ctx.Err()
		return nil, errors.New("no connection")
	}
	door := r.serve()
	c, in := r.greet(), pipes(t)
	o := c.exec(ch, in)
	other := r.greet()
	other.ask(&request{kind: terminate, id: 5})
	other.expect(ok, uint32(5))
	other.Close() // ssh ends when it has the answer
	close(gone)
	if err := controltest.Get(t, asked); err != nil {
		t.Error(err)
	}
	o.did(t, "close")
	controltest.Get(t, door.Done())
	if !r.free() {
		t.Error("the path is still served")
	}
}

// A path that is another's now is given up, and one that a cleaner took is made
// again.
func TestCheck(t *testing.T) {
	r := newRig(t, nil)
	door := r.serve()
	c := r.greet()
	must(t, os.Remove(r.path()))
	r.doors.Check()
	r.greet().lives()
	must(t, os.Remove(r.path()))
	other := NewDoors(nil, quiet{}, 1, r.dir)
	defer other.Close()
	_, err := other.Open(context.Background(), listen(r.path(), "elsewhere"), nil)
	must(t, err)
	r.doors.Check()
	if !door.Ended() || r.doors.At(r.path()) != nil {
		t.Error("the path is still thought to be ours")
	}
	c.lives() // who is in goes on
	if _, err := os.Lstat(r.path()); err != nil {
		t.Errorf("the other's socket: %v", err)
	}
}

// ssh -O conninfo and -O channels.
func TestInfo(t *testing.T) {
	r := newRig(t, &controltest.Backend{
		OnManage: func(_ context.Context, q *control.ManageRequest) (*control.Managed, error) {
			if q.Command == "channels" {
				return nil, &control.Error{Host: "h", Text: "no connection\nnow"}
			}
			return &control.Managed{Out: []byte(q.Command + "\r\nof h\r\n")}, nil
		},
	})
	r.serve()
	c := r.greet()
	c.ask(&request{kind: extInfo, id: 1, name: "connection"})
	c.expect(extInfoReply, uint32(1), uint32(1), "conninfo\r\nof h\r\n")
	c.ask(&request{kind: extInfo, id: 2, name: "channels"})
	c.expect(extInfoReply, uint32(2), uint32(0), "h: no connection now")
}

// A door that is kept outlasts its claims, until its connection is given up.
func TestKeep(t *testing.T) {
	events := make(chan control.Event)
	watching := make(chan struct{}, 4)
	r := newRig(t, &controltest.Backend{
		OnEvents: func(ctx context.Context, _ *control.EventsRequest, f func(control.Event) error) error {
			watching <- struct{}{}
			for {
				select {
				case e := <-events:
					if err := f(e); err != nil {
						return err
					}
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		},
	})
	for _, last := range []string{"idle", "closed"} {
		door := r.serve()
		door.Keep()
		door.Keep()
		controltest.Get(t, watching)
		door.Close()
		c := r.greet()
		c.ask(&request{kind: aliveCheck, id: 1})
		c.expect(alive, uint32(1), uint32(muxdPID))
		door.Drain(context.Background())
		more, err := r.tries("h", true)
		must(t, err)
		more.Close()
		for _, e := range []control.Event{
			{Kind: control.EventHost, To: "idle"}, // not used yet
			{Kind: control.EventHost, To: "ready"},
			{Kind: control.EventLink, To: "closed"},
			{Kind: control.EventHost, To: "waiting"},
		} {
			events <- e
		}
		c.ask(&request{kind: aliveCheck, id: 2})
		c.expect(alive, uint32(2), uint32(muxdPID))
		if door.Ended() {
			t.Fatal("it ended with its claim")
		}
		events <- control.Event{Kind: control.EventHost, To: last}
		eventually(t, "it still listens", func() bool { return door.Ended() && r.free() })
		c.Close()
		controltest.Get(t, door.Done())
	}
	if len(watching) > 0 {
		t.Error("one door is watched twice")
	}
}

// A door that asks has each request confirmed by who holds it.
func TestConfirm(t *testing.T) {
	for _, c := range []struct {
		answer string
		err    error
		yes    bool
	}{{"yes", nil, true}, {"", nil, true}, {"y", nil, true}, {"no", nil, false}, {"yes please", nil, false}, {"", control.ErrNobody, false}, {"yes", control.ErrInterrupted, false}} {
		t.Run(fmt.Sprint(c.answer, c.err), func(t *testing.T) {
			f := newForwards()
			b, ch := sessions(false)
			b.OnForward, b.OnManage = f.OnForward, f.OnManage
			r := newRig(t, b)
			asked := make(chan string, 16)
			q := listen(r.path(), "h")
			q.Confirm = true
			holder, err := r.doors.Open(context.Background(), q, &controltest.Screen{Person: controltest.Person{OnPrompt: func(_ context.Context, p control.Prompt) (control.Answer, error) {
				if p.Kind != control.PromptConfirm || p.Host != "h" {
					t.Errorf("%+v", p)
				}
				asked <- p.Text
				return control.Answer{Text: c.answer}, c.err
			}}})
			must(t, err)
			// Who comes before the holder's own login is done waits for that.
			early := r.greet()
			early.ask(&request{kind: stopListening, id: 9})
			time.Sleep(20 * time.Millisecond)
			if len(asked) > 0 {
				t.Error("asked before the holder can be")
			}
			early.Close()
			eventually(t, "it has not gone", func() bool { return r.doors.Clients() == 0 })
			holder.Opened()
			// Who shares the door later has not lifted that.
			later, err := r.tries("h", true)
			must(t, err)
			defer later.Close()
			cl := r.greet()
			cl.lives()
			if len(asked) > 0 {
				t.Error("a check was to be confirmed")
			}
			answers := func(question string, yes kind, q *request, fds ...int) {
				t.Helper()
				cl.ask(q, fds...)
				if got := controltest.Get(t, asked); got != question {
					t.Errorf("asked %q", got)
				}
				if c.yes {
					cl.expect(yes, q.id)
				} else {
					cl.expect(denied, q.id, "Permission denied")
				}
			}
			answers("Open -L localhost:8080:db:1 on h?", ok, &request{kind: openForward, id: 2, forward: forwardLocal, listen: endpoint{"", 8080}, connect: endpoint{"db", 1}})
			in := pipes(t)
			cl.ask(&request{kind: newSession, id: 3, command: "cmd"}, in.fds...)
			if got := controltest.Get(t, asked); got != "Allow shared connection to h? " {
				t.Errorf("asked %q", got)
			}
			cl.expect(sessionOpened, uint32(3), uint32(sessionID))
			if c.yes {
				controltest.Get(t, ch).End(control.Exit{}, nil)
				cl.expect(exitMessage, uint32(sessionID), uint32(0))
			} else { // as a denial it would have ssh log in by itself
				cl.expect(failure, "muxd: Permission denied")
			}
			cl.ends()
			in.drop(0, 1, 2)
			readsEnd(t, in.out, "")
			cl = r.greet()
			answers("Disable further multiplexing on shared connection to h? ", ok, &request{kind: stopListening, id: 4})
			answers("Terminate shared connection to h? ", ok, &request{kind: terminate, id: 5})
		})
	}
}

// The end may be among the events that were lost.
func TestKeepWhereEventsAreLost(t *testing.T) {
	states := make(chan string, 2)
	r := newRig(t, &controltest.Backend{
		OnEvents: func(ctx context.Context, _ *control.EventsRequest, f func(control.Event) error) error {
			if err := f(control.Event{Kind: control.EventHost, To: <-states}); err != nil {
				return err
			}
			if err := f(control.Event{Kind: control.EventLost, To: "12"}); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		},
	})
	door := r.serve()
	door.Keep()
	states <- "idle" // not used yet, and then used and idle again
	states <- "idle"
	controltest.Get(t, door.Done())
	if !door.Ended() || !r.free() {
		t.Error("it still listens")
	}
}

// Where a door asks, and whoever would answer is gone, the answer is no.
func TestConfirmNobody(t *testing.T) {
	r := newRig(t, &controltest.Backend{OnEvents: func(ctx context.Context, _ *control.EventsRequest, _ func(control.Event) error) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	door := r.serve(func(q *control.ListenRequest) { q.Confirm = true })
	door.Keep()
	door.Close()
	c := r.greet()
	c.ask(&request{kind: stopListening, id: 4})
	c.expect(denied, uint32(4), "Permission denied")
}

// A hundred clients at once, and the end of muxd among them.
func TestManyClients(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	go func() {
		for range 100 {
			o := <-ch
			go func() {
				o.Out.Write([]byte("out"))
				o.End(control.Exit{Code: 5}, nil)
			}()
		}
	}()
	var all sync.WaitGroup
	for range 100 {
		c, in := r.greet(), pipes(t)
		all.Go(func() {
			c.ask(&request{kind: newSession, id: 1, command: "cmd"}, in.fds...)
			in.drop(0, 1, 2)
			if !t.Failed() {
				c.expect(sessionOpened, uint32(1), uint32(sessionID))
				c.expect(exitMessage, uint32(sessionID), uint32(5))
				readsEnd(t, in.out, "out")
			}
		})
	}
	all.Wait()
	eventually(t, "some are still served", func() bool { return r.doors.Clients() == 0 })

	c, in := r.greet(), pipes(t)
	c.ask(&request{kind: newSession, id: 1, command: "cmd"}, in.fds...)
	o := controltest.Get(t, ch)
	idle := r.greet()
	r.doors.Close()
	if got := o.Events(); !slices.Contains(got, "close") {
		t.Errorf("it did %q", got)
	}
	idle.ends()
}

// Who opens a path gets one that is served, whatever others do with it.
func TestOpenWhileOthersClose(t *testing.T) {
	r := newRig(t, nil)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 200 {
				door, err := r.tries("h", true)
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				if door.Ended() {
					t.Error("a door that had ended was opened")
				}
				if i%2 == 0 {
					door.Drain(context.Background())
				}
				door.Close()
			}
		})
	}
	all.Wait()
}
