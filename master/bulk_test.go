package master

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
)

func TestTransfersAreKnown(t *testing.T) {
	for _, c := range []struct {
		kind    control.SessionKind
		command string
		want    bool
	}{
		{control.Subsystem, "sftp", true}, {control.Subsystem, "netconf", false}, {control.Shell, "scp -t x", false},
		{control.Exec, "scp -t -- /tmp", true}, {control.Exec, "scp -v -f a", true}, {control.Exec, "scp a b:", false},
		{control.Exec, "rsync --server --sender -logDtpre.iLsfxCIvu . x", true}, {control.Exec, "rsync a b", false},
		{control.Exec, "sudo rsync --server . x", true}, {control.Exec, "/usr/lib/openssh/sftp-server", true},
		{control.Exec, "git-upload-pack 'a/b.git'", true}, {control.Exec, "'git-receive-pack' 'a'", true},
		{control.Exec, "git upload-archive x", true}, {control.Exec, "git status", false},
		{control.Exec, "", false}, {control.Exec, "sudo", false}, {control.Exec, "tar c .", false}, {control.Exec, "echo scp -t", false},
	} {
		if got := transfers(c.kind, c.command); got != c.want {
			t.Errorf("%s %q: %v", c.kind, c.command, got)
		}
	}
}

// stays is a server whose transfers and shells do not end.
func stays(opts sshtest.Options) sshtest.Options {
	stay := func(s *sshtest.Session, _ []string) sshtest.Exit { time.Sleep(8 * time.Hour); return sshtest.Exit{} }
	opts.Commands = map[string]sshtest.Command{"scp": stay, "rsync": stay, "stay": stay}
	return opts
}

// on is the index of a session's connection among those there are.
func (r *rig) on(s control.Stream) int { return s.(*sshlink.Session).Link().ID }

// shellOn opens a session on a terminal.
func (r *rig) shellOn(args ...string) *sshlink.Session {
	return r.open(append([]string{"-tt"}, append(args, "stay")...)...)
}

// uses are what the connections are for, oldest first.
func (r *rig) uses() string {
	synctest.Wait()
	text := ""
	for _, l := range r.host().status().Links {
		text += l.Use + " "
	}
	return text
}

// A transfer beside a shell has a connection of its own, which the next transfer
// finds, and which goes when nobody uses it. The shell's stays.
func TestTransferBesideAShell(t *testing.T) {
	inBubble(t, stays(sshtest.Options{}), func(t *testing.T, r *rig) {
		sh := r.shellOn("host")
		start := time.Now()
		a := r.open("host", "scp", "-t", "x")
		if d := time.Since(start); d > ownSoon {
			t.Errorf("began after %v", d)
		}
		b := r.open("host", "rsync", "--server", "x")
		if r.on(a) == r.on(sh) || r.on(b) != r.on(a) {
			t.Errorf("the shell on %d, transfers on %d and %d", r.on(sh), r.on(a), r.on(b))
		}
		if s := r.open("host", "stay"); r.on(s) != r.on(sh) {
			t.Error("a command went to the transfers")
		}
		if got := r.uses(); got != "main bulk " {
			t.Errorf("connections are %q", got)
		}
		r.wantLogins(2)
		a.Close()
		b.Close()
		time.Sleep(furtherIdle + time.Second)
		r.wantLinks("ready")
	})
}

// Nobody's shell is there: a transfer begins where it is, and costs no login.
func TestTransferAlone(t *testing.T) {
	inBubble(t, stays(sshtest.Options{}), func(t *testing.T, r *rig) {
		r.open("host", "scp", "-t", "x")
		r.open("host", "rsync", "--server", "x")
		r.wantLogins(1)
		r.open("-oBulk=yes", "host", "stay")
		if got := r.uses(); got != "main bulk " {
			t.Errorf("connections are %q", got)
		}
		r.wantLogins(2)
	})
	inBubble(t, stays(sshtest.Options{}), func(t *testing.T, r *rig) {
		r.shellOn("host")
		r.open("-oBulk=no", "host", "scp", "-t", "x")
		r.open("-oMaxConnections=1", "host", "scp", "-t", "x")
		r.wantLogins(1)
	})
}

// A further login that needs a person, that takes long or that fails: a transfer
// begins at once, or after a moment, on what there is.
func TestTransferDoesNotWait(t *testing.T) {
	took := func(r *rig, args ...string) time.Duration {
		start := time.Now()
		r.open(append(args, "host", "scp", "-t", "x")...)
		return time.Since(start)
	}
	inBubble(t, stays(sshtest.Options{Password: "secret"}), func(t *testing.T, r *rig) {
		p := says("secret")
		if _, err := r.ask(t.Context(), p, "-tt", "host", "stay"); err != nil {
			t.Fatal(err)
		}
		if d := took(r) + took(r, "-oBulk=yes"); d != 0 || p.Times() != 1 {
			t.Errorf("began after %v, asked %d times", d, p.Times())
		}
		if n := len(r.srv.Peers()); n != 1 {
			t.Errorf("%d connections were tried", n)
		}
	})
	inBubble(t, stays(sshtest.Options{}), func(t *testing.T, r *rig) {
		r.shellOn("host")
		r.through(func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() })
		if d := took(r); d != ownSoon {
			t.Errorf("waited %v for a login that does not come", d)
		}
		if d := took(r); d != 0 {
			t.Errorf("waited %v more for the same", d)
		}
		r.wantLinks("ready")
	})
	inBubble(t, stays(sshtest.Options{}), func(t *testing.T, r *rig) {
		r.shellOn("host")
		out := r.down(errDown)
		if d := took(r) + took(r); d != 0 {
			t.Errorf("waited %v for what failed", d)
		}
		if n := len(out.times()); n != 1 {
			t.Errorf("%d attempts", n)
		}
	})
	inBubble(t, stays(sshtest.Options{}), func(t *testing.T, r *rig) {
		r.shellOn("host")
		r.host().call(func() { r.host().loginTook = time.Second })
		r.through(func(ctx context.Context, network, addr string) (net.Conn, error) {
			sleep(ctx, 100*time.Millisecond)
			return r.srv.DialContext(ctx, network, addr)
		})
		if d := took(r); d != 0 {
			t.Errorf("waited %v for a login that takes a second", d)
		}
		time.Sleep(time.Second)
		r.wantLogins(2) // the next one finds it
		r.open("host", "scp", "-t", "x")
		r.wantLogins(2)
	})
}

// What nobody knew for a transfer proves to be one: the next shell has another
// connection, the client's next command goes to one for transfers, and so does a
// further transfer.
func TestTransferThatProved(t *testing.T) {
	inBubble(t, stays(sshtest.Options{}), func(t *testing.T, r *rig) {
		q := r.of(1, "host", "stay")
		q.Bytes = new(control.Meter)
		s, err := r.m.Session(t.Context(), q, nil)
		if err != nil {
			t.Fatal(err)
		}
		tar := s.(*sshlink.Session)
		if sh := r.shellOn("host"); r.on(sh) != r.on(tar) {
			t.Error("a shell left a connection on which nothing moves")
		} else {
			sh.Close()
			synctest.Wait()
		}
		q.Bytes.Out.Store(heavyBytes)
		if sh := r.shellOn("host"); r.on(sh) == r.on(tar) {
			t.Error("the shell is where the transfer is")
		}
		if got := r.uses(); got != "main further " {
			t.Errorf("connections are %q", got)
		}
		r.open("host", "stay") // of nobody in particular
		r.wantLogins(2)
		next, err := r.m.Session(t.Context(), r.of(1, "host", "stay"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.on(next) != r.on(tar) {
			t.Error("the transfers' client went to the shell")
		}
		if got := r.uses(); got != "main further bulk " {
			t.Errorf("connections are %q", got)
		}
		next, _ = r.m.Session(t.Context(), r.of(1, "host", "stay"), nil)
		if got := r.link(next); !got.bulk.Load() {
			t.Error("the next is not with the transfers")
		}
		tar.Close()
		next.Close()
		synctest.Wait()
		if !r.isMover(1<<30+1) || r.isMover(1<<30+2) {
			t.Error("who is known to move much")
		}
		time.Sleep(moverFor)
		if r.isMover(1<<30 + 1) {
			t.Error("remembered for ever")
		}
	})
}

func (r *rig) isMover(client int) (is bool) {
	h := r.host()
	h.call(func() { is = h.mover(client) })
	return is
}
