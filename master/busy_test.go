package master

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"muxd/internal/login"
	"muxd/internal/sshtest"
)

// asBusy is the mark of an error, "" without one.
func asBusy(err error) string {
	var busy *login.Busy
	switch {
	case !errors.As(err, &busy):
		return ""
	case busy.Silent:
		return "silent"
	}
	return "busy"
}

// dialOf makes one attempt to connect to a host, for which nobody waits.
func (r *rig) dialOf(host string) error {
	r.t.Helper()
	d := r.destination(host)
	h, err := r.m.host(d)
	if err != nil {
		r.t.Fatal(err)
	}
	defer r.m.unuse(h)
	_, err = r.m.dial(r.t.Context(), h, d, background{}, nil, false)
	return err
}

func TestBusyServersAreMarked(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		greet := func(text string) { r.srv.Update(func(o *sshtest.Options) { o.Greeting = text }) }
		hear := func(f func(c net.Conn)) {
			r.dial = func(context.Context, string, string) (net.Conn, error) {
				near, far := sshtest.Pipe()
				go f(far)
				return near, nil
			}
		}
		for _, c := range []struct {
			name, mark string
			set        func()
		}{
			{"busy", "busy", func() { greet("Not allowed at this time\r\n") }},
			{"another protocol", "", func() { greet("220 mail\r\n") }},
			{"closed at once", "silent", func() { hear(func(c net.Conn) { c.Close() }) }},
			{"closed after our version", "silent", func() { hear(func(c net.Conn) { c.Read(make([]byte, 99)); c.Close() }) }},
			{"closed after its version", "", func() {
				hear(func(c net.Conn) { io.WriteString(c, "SSH-2.0-x\r\n"); c.Read(make([]byte, 99)); c.Close() })
			}},
			{"silence", "", func() { hear(func(c net.Conn) { time.Sleep(time.Hour); c.Close() }) }},
		} {
			c.set()
			err := r.dialOf("host")
			if got := asBusy(err); got != c.mark || err == nil {
				t.Errorf("%s: %q: %v", c.name, got, err)
			}
			r.dial = nil
		}
		synctest.Wait()
		time.Sleep(2 * time.Hour)
	})
	inNetwork(t, sshtest.Options{}, []string{"bastion", "inside"}, []string{"bastion"}, func(t *testing.T, r *rig, n *network) {
		r.write(".ssh/config", "Host inside\n ProxyJump bastion\n")
		n.servers["bastion"].srv.Update(func(o *sshtest.Options) { o.Greeting = "Exceeded MaxStartups\r\n" })
		if err := r.dialOf("inside"); asBusy(err) != "busy" {
			t.Errorf("behind a busy bastion: %v", err)
		}
	})
}
