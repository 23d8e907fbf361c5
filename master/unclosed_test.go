package master

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

// miser is a server that closes no channel, that of "fair" sessions apart, and
// gives a connection so many places for sessions; 0 is without end. Of mute ones it
// answers no open.
type miser struct {
	places int
	mute   bool
	opens  int // owned by the act; channels of kind session
	after  act // once the first command was taken; nil: nothing
}

func (m *miser) act(w *sshtest.Rogue) error {
	if err := w.Login(); err != nil {
		return err
	}
	taken := 0
	for began := false; ; {
		p, err := next(w)
		if err != nil {
			return err
		}
		var open struct {
			Kind           string `sshtype:"90"`
			ID             uint32
			Window, Packet uint32
			Rest           []byte `ssh:"rest"`
		}
		var q struct {
			ID    uint32 `sshtype:"98"`
			Kind  string
			Reply bool
			Rest  []byte `ssh:"rest"`
		}
		switch {
		case ssh.Unmarshal(p, &open) == nil:
			if open.Kind == "session" {
				m.opens++
			}
			switch {
			case m.mute && m.opens > 1:
			case open.Kind == "session" && m.places > 0 && taken >= m.places:
				err = w.Write(sshtest.Packet(sshtest.MsgOpenFailed, open.ID, uint32(2), "open failed", ""))
			default:
				taken++
				err = w.Confirm(open.ID, 2<<20, 32<<10)
			}
		case ssh.Unmarshal(p, &q) == nil && q.Reply:
			err = w.Write(sshtest.Packet(sshtest.MsgSuccess, q.ID))
			if strings.HasSuffix(string(q.Rest), "fair") {
				err = errors.Join(err, w.Exit(q.ID, 0))
			}
			if m.after != nil && !began {
				began = true
				err = errors.Join(err, m.after(w))
			}
		}
		if err != nil {
			return err
		}
	}
}

// next is what the client sends next, but for global requests, which are answered.
func next(w *sshtest.Rogue) ([]byte, error) {
	for {
		p, err := w.Read()
		if err != nil || p[0] != sshtest.MsgGlobal {
			return p, err
		}
		if err := w.Write([]byte{sshtest.MsgGlobalFailed}); err != nil {
			return nil, err
		}
	}
}

// leave opens a session and leaves it.
func (r *rogues) leave(args ...string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Hour)
	defer cancel()
	s, err := r.ask(ctx, nil, append(args, "rogue", "sleep")...)
	if err != nil {
		r.t.Fatal(err)
	}
	s.Close()
	synctest.Wait()
}

// linksOf are the states of the rogue's connections.
func (r *rogues) linksOf() string {
	synctest.Wait()
	var all []string
	for _, h := range r.m.all() {
		if st := h.status(); st.Name == "rogue" {
			for _, l := range st.Links {
				all = append(all, l.State)
			}
		}
	}
	return strings.Join(all, " ")
}

// A server that never closes what its clients left is given another connection,
// again and again, and who has a session on the old one keeps it.
func TestServerClosesNothing(t *testing.T) {
	withRogue(t, (&miser{}).act, func(t *testing.T, r *rogues) {
		lives, err := r.ask(t.Context(), nil, "rogue", "lives")
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			r.leave()
		}
		time.Sleep(5 * time.Minute)
		if got := r.linksOf(); got != "ready" || r.dials != 1 {
			t.Errorf("after 40: %q, %d connections", got, r.dials)
		}
		for range 40 {
			r.leave()
		}
		time.Sleep(5 * time.Minute)
		if got := r.linksOf(); got != "draining ready" || r.dials != 2 {
			t.Errorf("after 80: %q, %d connections", got, r.dials)
		}
		if n, what := r.m.unfinished(); n != 1 {
			t.Errorf("muxd stop --drain waits for %d: %s", n, what)
		}
		if out, exit, err := finish(must(r.ask(t.Context(), nil, "rogue", "fair"))); err != nil {
			t.Errorf("the next: %q, %v, %v", out, exit, err)
		}
		lives.Close()
		synctest.Wait()
		if got := r.linksOf(); got != "ready" {
			t.Errorf("when nobody has a session on the old one: %q", got)
		}
		r.neighbour()

		was := runtime.NumGoroutine()
		for range 2000 {
			r.leave()
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if now := runtime.NumGoroutine(); now > was+1000 {
			t.Errorf("%d goroutines, %d before", now, was)
		}
		if r.dials < 10 || r.dials > 40 {
			t.Errorf("%d connections for 2000 sessions", r.dials)
		}
	})
}

func must(s control.Stream, err error) control.Stream {
	if err != nil {
		panic(err)
	}
	return s
}

// The same for what is no session, and for opens that are not answered.
func TestServerClosesNoConnection(t *testing.T) {
	withRogue(t, (&miser{}).act, func(t *testing.T, r *rogues) {
		for range 80 {
			s, err := r.m.Direct(t.Context(), must2(r.plan(nil, "-W", "db:5432", "rogue")).Direct, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
		}
		time.Sleep(5 * time.Minute)
		if got := r.linksOf(); got != "ready" || r.dials != 2 {
			t.Errorf("%q, %d connections", got, r.dials)
		}
	})
	withRogue(t, (&miser{mute: true}).act, func(t *testing.T, r *rogues) {
		for range 66 {
			if _, err := r.ask(t.Context(), nil, "rogue", "true"); err != nil && !strings.Contains(err.Error(), "did not answer a channel open") {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if r.dials != 2 {
			t.Errorf("%d connections", r.dials)
		}
	})
}

func must2(p *control.Plan, err error) *control.Plan {
	if err != nil {
		panic(err)
	}
	return p
}

// A connection all of whose places are those of sessions that were left is
// replaced for whoever waits in line: the server has no other places to give.
func TestServerKeepsItsPlaces(t *testing.T) {
	withRogue(t, (&miser{places: 3}).act, func(t *testing.T, r *rogues) {
		for range 60 {
			r.leave("-o", "WaitForReady=yes", "-o", "MaxConnections=1")
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if r.dials < 20 {
			t.Errorf("%d connections", r.dials)
		}
		r.neighbour()
	})
}

// A connection that carries nothing but what its server does not close goes when
// its time has come.
func TestUnclosedKeepsNoConnection(t *testing.T) {
	withRogue(t, (&miser{}).act, func(t *testing.T, r *rogues) {
		r.leave("-o", "ControlPersist=10m")
		time.Sleep(8 * time.Minute)
		if got := r.linksOf(); got != "ready" {
			t.Errorf("before: %q", got)
		}
		time.Sleep(4 * time.Minute)
		if got := r.linksOf(); got != "" {
			t.Errorf("after: %q", got)
		}
	})
}

// What it opens itself and does not close has an end too.
func TestServerOpensAndDoesNotClose(t *testing.T) {
	const opens = 3000
	taken, refused := 0, 0
	m := &miser{after: times(opens, func(w *sshtest.Rogue) error {
		if err := w.Write(sshtest.Packet(sshtest.MsgOpen, "auth-agent@openssh.com", uint32(7), uint32(1<<20), uint32(1<<15))); err != nil {
			return err
		}
		for {
			p, err := next(w)
			var yes struct {
				Ours, Theirs, Window, Packet uint32 `sshtype:"91"`
			}
			switch {
			case err != nil:
				return err
			case p[0] == sshtest.MsgOpenFailed:
				refused++
				return nil
			case ssh.Unmarshal(p, &yes) == nil:
				taken++
				return w.Write(sshtest.Packet(sshtest.MsgEOF, yes.Theirs))
			}
		}
	})}
	withRogue(t, m.act, func(t *testing.T, r *rogues) {
		as := r.agents("/a")
		as.set("/a", func(context.Context) (net.Conn, error) {
			near, far := sshtest.Pipe()
			far.Close()
			return near, nil
		})
		was := runtime.NumGoroutine()
		r.env = []string{"SSH_AUTH_SOCK=/a"}
		s := must(r.ask(t.Context(), nil, "-A", "rogue", "lives"))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if taken < 256 || taken > 1024+256 || taken+refused != opens {
			t.Errorf("%d taken, %d refused", taken, refused)
		}
		if now := runtime.NumGoroutine(); now > was+2000 {
			t.Errorf("%d goroutines, %d before", now, was)
		}
		s.Close()
	})
}
