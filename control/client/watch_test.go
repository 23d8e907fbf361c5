package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/client"
	"muxd/internal/sshtest"
)

// next returns the first event from seq of which f says yes.
func next(t *testing.T, seq func(func(control.Event, error) bool), f func(control.Event) bool) control.Event {
	t.Helper()
	for e, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		if f(e) {
			return e
		}
	}
	t.Fatal("the events ended without an error")
	return control.Event{}
}

func TestEvents(t *testing.T) {
	o := at(t, sshtest.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	one, other := client.New("one"), client.New("other", "-p", "2222")
	began := time.Now().Add(-time.Second)
	for _, c := range []*client.Client{one, other} {
		if err := c.Command(ctx, "echo").Run(); err != nil {
			t.Fatal(err)
		}
	}
	// What was, of one and of all; then what is.
	logins := func(e control.Event) bool { return e.Kind == control.EventLink && e.To == "ready" && e.From == "" }
	if e := next(t, client.Events(ctx, time.Hour), logins); e.Host != "one" || e.Time.Before(began) || e.Time.After(time.Now()) {
		t.Errorf("%+v", e)
	}
	if e := next(t, other.Events(ctx, time.Hour), logins); e.Host != "other" || e.Addr != "other:2222" {
		t.Errorf("%+v", e)
	}
	if e := next(t, other.Events(ctx, 0), func(control.Event) bool { return true }); e.Kind != control.EventHost || e.To != "ready" || e.From != "" {
		t.Errorf("%+v", e)
	}
	// What comes: the loop hears it from within.
	cut := func(e control.Event) bool {
		if e.From == "" && e.To == "ready" && e.Kind == control.EventHost {
			o.srv.Last().Drop()
		}
		return e.Kind == control.EventHost && e.From == "ready"
	}
	if e := next(t, other.Events(ctx, 0), cut); e.Host != "other" {
		t.Errorf("%+v", e)
	}
	if n := o.srv.Count(sshtest.ChannelRequest, "exec"); n != 2 {
		t.Errorf("%d commands", n)
	}
}

// Each end of a sequence but that of its loop is an error, once.
func TestEventsEnd(t *testing.T) {
	ends := func(seq func(func(control.Event, error) bool), then func()) (last error) {
		t.Helper()
		errs := 0
		for _, err := range seq {
			if then(); err != nil {
				errs, last = errs+1, err
			}
		}
		if errs != 1 {
			t.Errorf("%d errors", errs)
		}
		return last
	}
	nothing := func() {}
	if err := ends(client.Events(t.Context(), 0), nothing); !errors.Is(err, client.ErrNotRunning) {
		t.Error(err)
	}
	if _, err := client.Status(t.Context()); !errors.Is(err, client.ErrNotRunning) {
		t.Error(err)
	}
	o := open(sshtest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	host := client.New("host")
	if err := ends(host.Events(ctx, 0), cancel); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := ends(host.Events(ctx, 0), nothing); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := client.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var e *control.Error
	if err := ends(client.New("host", "-o", "NoSuch=1").Events(t.Context(), 0), nothing); !errors.As(err, &e) {
		t.Error(err)
	}
	var closed chan struct{}
	err := ends(host.Events(t.Context(), 0), func() {
		if closed == nil {
			closed = make(chan struct{})
			go func() { defer close(closed); o.close() }()
		}
	})
	<-closed // or the next test finds the place taken
	if !errors.As(err, &e) && !errors.Is(err, control.ErrGone) {
		t.Error(err)
	}
}
