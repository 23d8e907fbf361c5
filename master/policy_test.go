package master

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
)

// Share no: each client has a connection of its own, which ends with it.
func TestShareNo(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true") // one that could be shared
		a, b := r.open("-o", "Share=no", "host", "cat"), r.open("-o", "Share=no", "host", "cat")
		r.wantLogins(3)
		if a.Link() == b.Link() || len(r.m.all()) != 3 {
			t.Errorf("%d hosts", len(r.m.all()))
		}
		for _, s := range []*sshlink.Session{a, b} {
			s.CloseWrite()
			finish(s)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if a.Link().Err() == nil || b.Link().Err() == nil || len(r.m.all()) != 1 {
			t.Errorf("they are left: %v, %v, %d hosts", a.Link().Err(), b.Link().Err(), len(r.m.all()))
		}
	})
}

// At its age a connection is replaced and keeps the sessions that it has.
func TestMaxLifetime(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		opts := []string{"-o", "MaxLifetime=30m", "-o", "ControlPersist=yes", "host"}
		s := r.open(append(opts, "cat")...)
		just(t, 30*time.Minute, "the first connection takes what comes", func() bool { return r.links() == "ready" })
		time.Sleep(time.Second)
		r.wantLinks("draining ready")
		r.wantLogins(2)
		if o := r.open(append(opts, "cat")...); o.Link() == s.Link() {
			t.Error("new work on the old one")
		} else {
			o.Close()
		}
		s.Write([]byte("on"))
		s.CloseWrite()
		if out, _, err := finish(s); out != "on" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
		r.wantLinks("ready")
		time.Sleep(31 * time.Minute)
		r.wantLinks("ready")
		r.wantLogins(3)
	})
}

// Where no successor is to be had without a person, or nobody wants one, the
// connection goes all the same, and the next client makes another.
func TestMaxLifetimeWithoutSuccessor(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
		opts := []string{"-o", "MaxLifetime=1", "host"} // at least a minute
		st, err := r.ask(t.Context(), says("secret"), append(opts, "cat")...)
		if err != nil {
			t.Fatal(err)
		}
		s := st.(*sshlink.Session)
		just(t, time.Minute, "it takes what comes", func() bool { return r.links() == "ready" })
		time.Sleep(10 * time.Second)
		r.wantLinks("draining")
		r.wantLogins(1)
		p := says("secret")
		if _, err := r.ask(t.Context(), p, append(opts, "cat")...); err != nil || p.Times() != 1 {
			t.Errorf("the next client: %v, asked %d times", err, p.Times())
		}
		s.Write([]byte("on"))
		s.CloseWrite()
		if out, _, err := finish(s); out != "on" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
	})
}

// Confirm asks before anything is done, and only a yes is one.
func TestConfirm(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		yes := says("Yes ")
		s, err := r.ask(t.Context(), yes, "-o", "Confirm=yes", "host", "echo", "it\x1b[0m")
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if q := yes.Asked(); len(q) != 1 || q[0].Kind != control.PromptConfirm || q[0].Host != "me@host" || q[0].Text != `Run "echo it\x1b[0m" on host? (yes/no) ` {
			t.Errorf("asked %+v", q)
		}
		r.run("host", "true") // one that does not ask shares the connection
		for _, c := range []struct {
			p    control.Prompter
			args string
			want string
		}{
			{says("no"), "-o Confirm=yes host", "host: Confirm is set for it, and the answer was no"},
			{says(""), "-o Confirm=yes host", "and the answer was no"},
			{fails(control.ErrNobody), "-o Confirm=yes host", "nobody could be asked (-o Confirm=no does without)"},
			{nil, "-o Confirm=yes host", "nobody could be asked"},
			{says("yes"), "-o Confirm=yes -o BatchMode=yes host", "nobody could be asked"},
			{fails(control.ErrInterrupted), "-o Confirm=yes host", "interrupted"},
			{thinks(), "-o Confirm=yes host", "nobody answered within 2m0s"},
			{says("no"), "-o Confirm=yes -W a:1 host", "the answer was no"},
			{says("no"), "-o Confirm=yes -N -L 1:a:2 host", "the answer was no"},
		} {
			plan, err := r.plan(nil, strings.Fields(c.args)...)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case plan.Session != nil:
				_, err = r.m.Session(t.Context(), plan.Session, c.p)
			case plan.Direct != nil:
				_, err = r.m.Direct(t.Context(), plan.Direct, c.p)
			default:
				_, err = r.m.Forward(t.Context(), plan.Forward, c.p)
			}
			wantError(t, err, control.NotDialled, c.want)
		}
		r.wantLogins(1)
	})
}

// Audit writes who opened what, and what was refused; without it nothing is.
func TestAudit(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		var b bytes.Buffer
		r.m.cfg.Log = slog.New(slog.NewTextHandler(&b, nil))
		r.run("host", "true")
		if strings.Contains(b.String(), "audit") {
			t.Errorf("nobody asked for\n%s", &b)
		}
		r.run("-o", "Audit=yes", "host", "true")
		r.lock("lock")
		r.ask(t.Context(), nil, "-o", "Audit=yes", "host", "rm\n-rf")
		for _, want := range []string{
			`msg="audit: channel" host=host login=me@host:22 kind=exec what=true`,
			`msg="audit: channel refused" host=host login=me@host:22 kind=exec what="rm -rf" why="muxd is locked`,
		} {
			if strings.Count(b.String(), want) != 1 {
				t.Errorf("no line %s in\n%s", want, &b)
			}
		}
	})
}

// Audit names each connection through a forward: where it goes and where it came
// from, also the one that is refused, in both directions.
func TestAuditOfForwards(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		var b bytes.Buffer
		r.m.cfg.Log = slog.New(slog.NewTextHandler(&b, nil))
		s := r.ashore()
		s.echoes("app:80")
		defer r.mustForward("-o", "Audit=yes", "-L", "8080:db:5432", "-R", "9090:app:80", "host")()
		near, err := s.connect("localhost:8080")
		if err != nil {
			t.Fatal(err)
		}
		defer near.Close()
		if got, err := exchange(near, "in"); got != "in" {
			t.Fatal(got, err)
		}
		far, err := r.srv.Connect("localhost:9090")
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		synctest.Wait()
		r.lock("lock")
		late, err := s.connect("localhost:8080")
		if err != nil {
			t.Fatal(err)
		}
		defer late.Close()
		synctest.Wait()
		for want, times := range map[string]int{
			`msg="audit: channel" host=host login=me@host:22 kind=direct what=db:5432 from=` + near.LocalAddr().String():                                  1,
			`msg="audit: channel" host=host login=me@host:22 kind=forwarded-tcpip what=localhost:9090 from="the server, for `:                             1,
			`msg="audit: channel refused" host=host login=me@host:22 kind=direct what=db:5432 from=` + near.LocalAddr().String() + ` why="muxd is locked`: 1,
			`audit`: 3,
		} {
			if n := strings.Count(b.String(), want); n != times {
				t.Errorf("%d times %s in\n%s", n, want, &b)
			}
		}
	})
}

// NotifyCommand is told of a host that needs a person, and when it does not any
// more.
func TestNotifyCommand(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
		var told []string
		r.m.notify.Run = func(_ context.Context, line string, env []string) error {
			told = append(told, line+": "+strings.Join(env, " "))
			return errors.New("it does not matter")
		}
		opts := []string{"-o", "NotifyCommand=tell me", "host", "true"}
		if _, err := r.ask(t.Context(), fails(control.ErrNobody), opts...); err == nil {
			t.Fatal("logged in without the password")
		}
		synctest.Wait()
		if len(told) != 1 || !strings.HasPrefix(told[0], "tell me: MUXD_HOST=host MUXD_USER=me MUXD_ADDR=host:22 MUXD_FROM=connecting MUXD_STATE=blocked MUXD_TEXT=") {
			t.Fatalf("%q", told)
		}
		if _, err := r.ask(t.Context(), says("secret"), opts...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(told) != 2 || !strings.Contains(told[1], "MUXD_STATE=ready") {
			t.Errorf("%q", told)
		}
		r.hangUp()
		if _, err := r.ask(t.Context(), says("secret"), opts...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(told) != 2 {
			t.Errorf("a login that nobody missed is told: %q", told)
		}
	})
}
