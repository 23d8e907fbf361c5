package master

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// A notice that comes with every attempt is told once in a wait: a banner, or
// what a ProxyCommand complains of.
func TestANoticeIsToldOnceInAWait(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret", Banner: "Authorised users only\n"}, func(t *testing.T, r *rig) {
		n := 0
		p := &person{OnPrompt: func(ctx context.Context, _ control.Prompt) (control.Answer, error) {
			if n++; n < 5 { // the connection is lost under the question
				r.srv.Last().Drop()
				<-ctx.Done()
				return control.Answer{}, ctx.Err()
			}
			return control.Answer{Text: "secret"}, nil
		}}
		late := says("")
		go func() {
			time.Sleep(3 * time.Second)
			r.ask(t.Context(), late, "-oWaitForReady=yes", "-oBatchMode=yes", "host", "true")
		}()
		if _, err := r.ask(t.Context(), p, "-oWaitForReady=yes", "host", "true"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n != 5 {
			t.Errorf("%d attempts", n)
		}
		for who, p := range map[string]*person{"the first": p, "another": late} {
			if c := strings.Count(p.Told(), "Authorised"); c != 1 {
				t.Errorf("%s was told %d times: %q", who, c, p.Told())
			}
		}
	})
}
