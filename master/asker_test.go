package master

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

// stranger is a rig whose server's key nobody knows, so that every login asks.
func stranger(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	inBubble(t, sshtest.Options{DialDelay: time.Second}, func(t *testing.T, r *rig) {
		r.know()
		f(t, r)
	})
}

// asked is how many prompts each of the people saw.
func asked(people []control.Prompter) string {
	var b strings.Builder
	for _, p := range people {
		b.WriteByte(byte('0' + p.(*person).Times()))
	}
	return b.String()
}

func TestTenWaitersOnePrompt(t *testing.T) {
	stranger(t, func(t *testing.T, r *rig) {
		var people []control.Prompter
		for range 10 {
			people = append(people, says("yes"))
		}
		for i, o := range r.many(people, "host", "true") {
			if o.err != nil {
				t.Errorf("%d: %v", i, o.err)
			}
		}
		n := 0
		for _, c := range asked(people) {
			n += int(c - '0')
		}
		if n != 1 {
			t.Errorf("%d prompts: %s", n, asked(people))
		}
		for i, p := range people {
			if got := p.(*person).Told(); !strings.Contains(got, "Permanently added 'host' (ED25519)") {
				t.Errorf("%d was told %q", i, got)
			}
		}
		r.wantLogins(1)
	})
}

// queue makes one request for each person, one after the other, and returns
// the channels of their outcomes and what ends each.
func (r *rig) queue(people []control.Prompter, args ...string) (got []chan outcome, cancel []context.CancelFunc) {
	for _, p := range people {
		ctx, stop := context.WithCancel(context.Background())
		ch := make(chan outcome, 1)
		got, cancel = append(got, ch), append(cancel, stop)
		req := r.request(args...)
		go func() {
			s, err := r.m.Session(ctx, req, p)
			ch <- outcome{s, err}
		}()
		synctest.Wait()
	}
	return got, cancel
}

func TestTheFirstWhoCanBeAskedIsAsked(t *testing.T) {
	for _, c := range []struct {
		name   string
		people []control.Prompter
		want   string
	}{
		{"in order", []control.Prompter{says("yes"), says("yes"), says("yes")}, "100"},
		{"nobody there", []control.Prompter{fails(control.ErrNobody), says("yes"), says("yes")}, "110"},
		{"gone", []control.Prompter{fails(errors.New("the client went away")), fails(control.ErrNobody), says("yes")}, "111"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stranger(t, func(t *testing.T, r *rig) {
				got, _ := r.queue(c.people, "host", "true")
				for i, ch := range got {
					if o := <-ch; o.err != nil {
						t.Errorf("%d: %v", i, o.err)
					}
				}
				if a := asked(c.people); a != c.want {
					t.Errorf("asked %s, want %s", a, c.want)
				}
			})
		})
	}
}

func TestAWaiterWithoutAPrompterIsPassedOver(t *testing.T) {
	stranger(t, func(t *testing.T, r *rig) {
		p := says("yes")
		got, _ := r.queue([]control.Prompter{nil, p}, "host", "true")
		for _, ch := range got {
			if o := <-ch; o.err != nil {
				t.Error(o.err)
			}
		}
		if p.Times() != 1 {
			t.Errorf("asked %d times", p.Times())
		}
	})
}

// The one at whose terminal the question stands goes away: its prompt is taken
// back and the next one sees it, also one who came later.
func TestTheNextIsAskedWhenTheFirstGoesAway(t *testing.T) {
	stranger(t, func(t *testing.T, r *rig) {
		first, second := thinks(), says("yes")
		got, cancel := r.queue([]control.Prompter{first}, "host", "true")
		time.Sleep(time.Minute)
		later, _ := r.queue([]control.Prompter{second}, "host", "true")
		if first.Times() != 1 || second.Times() != 0 {
			t.Fatalf("asked %d and %d", first.Times(), second.Times())
		}
		cancel[0]()
		if o := <-got[0]; !isCanceled(o.err) && !strings.Contains(o.err.Error(), "context canceled") {
			t.Errorf("the first: %v", o.err)
		}
		if o := <-later[0]; o.err != nil {
			t.Errorf("the second: %v", o.err)
		}
		r.wantLogins(1)
		if n := r.srv.Count(sshtest.Dialled, ""); n != 1 {
			t.Errorf("%d dials", n)
		}
	})
}

func TestNobodyCanBeAsked(t *testing.T) {
	stranger(t, func(t *testing.T, r *rig) {
		print := ssh.FingerprintSHA256(r.srv.HostKey())
		people := []control.Prompter{fails(control.ErrNobody), nil, fails(control.ErrNobody)}
		for _, o := range r.many(people, "host", "true") {
			wantError(t, o.err, control.Refused, "host: ", "host key verification failed", "ED25519 "+print, "not known for host", "nobody could be asked", "accept-new")
		}
		r.wantState("blocked")
		r.wantLogins(0)
	})
}

func TestBatchModeIsNeverAsked(t *testing.T) {
	stranger(t, func(t *testing.T, r *rig) {
		batch, person := says("yes"), says("yes")
		got, _ := r.queue([]control.Prompter{batch}, "-o", "BatchMode=yes", "host", "true")
		wantError(t, (<-got[0]).err, control.Refused, "nobody could be asked")
		// With somebody else waiting, that one is asked, and both are served.
		got, _ = r.queue([]control.Prompter{batch}, "-o", "BatchMode=yes", "host", "true")
		other, _ := r.queue([]control.Prompter{person}, "host", "true")
		for _, ch := range append(got, other...) {
			if o := <-ch; o.err != nil {
				t.Error(o.err)
			}
		}
		if batch.Times() != 0 || person.Times() != 1 {
			t.Errorf("asked %d and %d", batch.Times(), person.Times())
		}
	})
}

func TestInterruptEndsThatRequestAlone(t *testing.T) {
	stranger(t, func(t *testing.T, r *rig) {
		quits, other := fails(control.ErrInterrupted), says("yes")
		got, _ := r.queue([]control.Prompter{quits, other}, "host", "true")
		wantError(t, (<-got[0]).err, control.Refused, "interrupted at the prompt")
		if o := <-got[1]; o.err != nil {
			t.Error(o.err)
		}
		r.wantLogins(1)
	})
}

// The last one's ^C gives the dial up; whoever comes while it ends dials anew.
func TestInterruptOfTheLastGivesTheDialUp(t *testing.T) {
	stranger(t, func(t *testing.T, r *rig) {
		got, _ := r.queue([]control.Prompter{fails(control.ErrInterrupted)}, "host", "true")
		wantError(t, (<-got[0]).err, control.Refused, "interrupted at the prompt")
		r.wantState("idle")
		if e := r.host().status().LastErr; e != "" {
			t.Errorf("remembered %q", e)
		}
		if o := r.many([]control.Prompter{says("yes")}, "host", "true"); o[0].err != nil {
			t.Error(o[0].err)
		}
	})
}

// Who does not answer in time fails alone; the next one is asked anew. The last
// one's silence blocks the host.
func TestPromptTimeout(t *testing.T) {
	stranger(t, func(t *testing.T, r *rig) {
		start := time.Now()
		got, _ := r.queue([]control.Prompter{thinks(), thinks()}, "host", "true")
		for i, ch := range got {
			wantError(t, (<-ch).err, control.Refused, "host key verification failed", "nobody answered within 2m0s")
			if d := time.Since(start); d < time.Duration(i+1)*control.PromptTimeout || d > time.Duration(i+1)*(control.PromptTimeout+time.Second) {
				t.Errorf("%d: after %v", i, d)
			}
		}
		r.wantState("blocked")
	})
	stranger(t, func(t *testing.T, r *rig) {
		got, _ := r.queue([]control.Prompter{thinks(), says("yes"), says("yes")}, "host", "true")
		wantError(t, (<-got[0]).err, control.Refused, "nobody answered within 2m0s")
		for _, ch := range got[1:] {
			o := <-ch
			if o.err != nil {
				t.Fatal(o.err)
			}
			finish(o.s)
		}
		r.wantLogins(1)
	})
}

// A server whose patience ends first makes no difference.
func TestTheServerTiresOfASilentPerson(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
		got, _ := r.queue([]control.Prompter{thinks(), says("secret")}, "host", "true")
		time.Sleep(longSilence)
		r.srv.Last().Drop()
		wantError(t, (<-got[0]).err, control.Refused, "closed the connection during the login")
		o := <-got[1]
		if o.err != nil {
			t.Fatal(o.err)
		}
		finish(o.s)
		r.wantLogins(1)
	})
}

// A dial for which nobody waits any more ends, prompt and all.
func TestTheLastWaiterLeaves(t *testing.T) {
	stranger(t, func(t *testing.T, r *rig) {
		p := thinks()
		got, cancel := r.queue([]control.Prompter{p, thinks()}, "host", "true")
		time.Sleep(10 * time.Second)
		cancel[1]()
		<-got[1]
		r.wantState("connecting")
		cancel[0]()
		<-got[0]
		r.wantState("idle")
		if n := r.srv.Count(sshtest.Disconnected, ""); n != 1 {
			t.Errorf("%d disconnected", n)
		}
	})
}

func TestCloseTakesThePromptBack(t *testing.T) {
	stranger(t, func(t *testing.T, r *rig) {
		got, _ := r.queue([]control.Prompter{thinks()}, "host", "true")
		time.Sleep(10 * time.Second)
		r.m.Close()
		wantError(t, (<-got[0]).err, control.Refused, "muxd is stopping")
	})
}

// A client that was stopped while it runs a command holds up those who wait for
// the same login for a moment; alone it has its time.
func TestACommandOfAStoppedClient(t *testing.T) {
	stranger(t, func(t *testing.T, r *rig) {
		line := "host " + string(ssh.MarshalAuthorizedKey(r.srv.HostKey()))
		stopped, well := &person{}, &person{}
		takenBack := 0
		stopped.OnRun = func(ctx context.Context, _ control.Command) (control.Ran, error) {
			<-ctx.Done()
			takenBack++
			return control.Ran{}, ctx.Err()
		}
		well.OnRun = func(context.Context, control.Command) (control.Ran, error) {
			return control.Ran{Output: []byte(line)}, nil
		}
		start := time.Now()
		got, _ := r.queue([]control.Prompter{stopped, well}, "-o", "KnownHostsCommand=/bin/keys", "host", "true")
		for i, ch := range got {
			if o := <-ch; o.err != nil {
				t.Errorf("%d: %v", i, o.err)
			}
		}
		// It is run twice in a login: about the order of keys, and about the one.
		if took := time.Since(start); took > 2*commandPatience+2*time.Second || takenBack != 2 {
			t.Errorf("after %v, taken back %d times", took, takenBack)
		}
		r.wantLogins(1)
		start = time.Now()
		got, _ = r.queue([]control.Prompter{stopped}, "-o", "KnownHostsCommand=/bin/keys", "u@host", "true")
		wantError(t, (<-got[0]).err, control.NotDialled, "nobody answered within 2m0s")
		if took := time.Since(start); took < control.PromptTimeout {
			t.Errorf("after %v", took)
		}
	})
}
