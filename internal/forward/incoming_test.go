package forward

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
)

func at(host string, port int) control.Endpoint { return control.Endpoint{Host: host, Port: port} }

// TestIncomingExact serves what was asked of that very server and nothing else.
func TestIncomingExact(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, a, b := fx.owner(), newServer("a"), newServer("b")
		fx.Serve(a)
		every := remote(5, "w")
		every.Listen.Host = "*"
		path := control.Forward{Kind: control.ForwardRemote, Listen: control.Endpoint{Path: "/run/x"}, Connect: control.Endpoint{Path: "/y"}}
		for _, f := range []control.Forward{remote(1, "x"), remote(0, "y"), remoteDynamic(3), every, path, local(7, "z")} {
			fx.add(t, f, o)
		}
		for _, c := range []struct {
			srv  Server
			at   control.Endpoint
			want string
		}{
			{a, at("localhost", 1), "accepted"},
			{a, at("localhost", 40001), "accepted"},
			{a, at("localhost", 3), "accepted"},
			{a, at("", 5), "accepted"},
			{a, at("*", 5), "accepted"},
			{a, control.Endpoint{Path: "/run/x"}, "accepted"},
			{b, at("localhost", 1), "not forwarded"},
			{a, at("localhost", 0), "not forwarded"},
			{a, at("localhost", 2), "not forwarded"},
			{a, at("localhost", 7), "not forwarded"},
			{a, at("localhost", 5), "not forwarded"},
			{a, at("LOCALHOST", 1), "not forwarded"},
			{a, at("127.0.0.1", 1), "not forwarded"},
			{a, at("", 1), "not forwarded"},
			{a, control.Endpoint{Path: "/run/y"}, "not forwarded"},
			{a, control.Endpoint{}, "not forwarded"},
		} {
			in, _ := newIncoming()
			fx.Incoming(c.srv, c.at, "1.2.3.4:5", in)
			if got := <-in.verdict; got != c.want {
				t.Errorf("%s: %s, want %s", c.at, got, c.want)
			}
		}
		// What was replaced, cancelled or lost is not served any more.
		fx.Serve(b)
		time.Sleep(leftFor)
		synctest.Wait()
		fx.Cancel(remote(0, "y"))
		for srv, ports := range map[Server][]int{a: {1, 40001, 3}, b: {40001}} {
			for _, port := range ports {
				in, _ := newIncoming()
				fx.Incoming(srv, at("localhost", port), "", in)
				if got := <-in.verdict; got != "not forwarded" {
					t.Errorf("%d: %s", port, got)
				}
			}
		}
		in, _ := newIncoming()
		fx.Incoming(b, at("localhost", 1), "", in)
		if got := <-in.verdict; got != "accepted" {
			t.Error(got)
		}
		fx.Close()
		in, _ = newIncoming()
		fx.Incoming(b, at("localhost", 1), "", in)
		if got := <-in.verdict; got != "not forwarded" {
			t.Error(got)
		}
	})
}

// TestIncomingOvertakes comes before the answer that says which port it is for.
func TestIncomingOvertakes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, c := range []struct {
			f    control.Forward
			port int
			want string
		}{{remote(0, "x"), 40001, "accepted"}, {remote(0, "x"), 40002, "not forwarded"}, {remote(7, "x"), 7, "accepted"}, {remote(7, "x"), 8, "not forwarded"}} {
			fx := newFixture(t, nil)
			a := newServer("a")
			a.hold = make(chan struct{})
			fx.Serve(a)
			go fx.Add(t.Context(), c.f, control.ForwardOptions{}, fx.owner(), true)
			synctest.Wait()
			in, _ := newIncoming()
			fx.Incoming(a, at("localhost", c.port), "", in)
			time.Sleep(time.Second)
			close(a.hold)
			if got := <-in.verdict; got != c.want {
				t.Errorf("%s, port %d: %s, want %s", c.f, c.port, got, c.want)
			}
		}
	})
}

// TestIncomingHandedOver comes from the server before, which had accepted it when
// it was asked to listen no more; and then from there comes nothing any more.
func TestIncomingHandedOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		a, b, f := newServer("a"), newServer("b"), remote(1, "x")
		fx.Serve(a)
		fx.add(t, f, fx.owner())
		b.hold = make(chan struct{})
		fx.Serve(b)
		synctest.Wait()
		if n := len(a.said()); n != 2 || len(b.said()) != 1 {
			t.Fatalf("not between the two: %q, %q", a.said(), b.said())
		}
		in, _ := newIncoming()
		fx.Incoming(a, f.Listen, "", in)
		if got := <-in.verdict; got != "accepted" {
			t.Error(got)
		}
		close(b.hold)
		time.Sleep(leftFor)
		synctest.Wait()
		in, _ = newIncoming()
		fx.Incoming(a, f.Listen, "", in)
		if got := <-in.verdict; got != "not forwarded" {
			t.Error(got)
		}
	})
}

// TestIncomingCarries counts from the client's side, who is the server's here.
func TestIncomingCarries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		a, f := newServer("a"), remote(1, "x")
		fx.Serve(a)
		fx.add(t, f, fx.owner())
		in, client := newIncoming()
		fx.Incoming(a, f.Listen, "", in)
		synctest.Wait()
		client.Write([]byte("question"))
		client.CloseWrite()
		if b, err := io.ReadAll(fx.targets[0]); string(b) != "question" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		if st := fx.state(f); st.Open != 1 || fx.Open() != 1 {
			t.Errorf("%+v", st)
		}
		fx.targets[0].Write([]byte("answer"))
		fx.targets[0].Close()
		if b, err := io.ReadAll(client); string(b) != "answer" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		synctest.Wait()
		if st := fx.state(f); st.Open != 0 || st.Total != 1 || st.In != 6 || st.Out != 8 || fx.Open() != 0 || fx.incoming != 0 || fx.connecting != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestIncomingFails rejects with the reason, and resets what was connected for
// nothing.
func TestIncomingFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, func(fx *fixture) { fx.dialErr = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} })
		a, f := newServer("a"), remote(1, "x")
		fx.Serve(a)
		fx.add(t, f, fx.owner())
		in, _ := newIncoming()
		fx.Incoming(a, f.Listen, "", in)
		if got := <-in.verdict; got != "connect to x:80: connection refused" || fx.state(f).LastErr != got {
			t.Errorf("%s, %+v", got, fx.state(f))
		}
		fx.dialErr = nil
		in, _ = newIncoming()
		in.fail = errTest
		fx.Incoming(a, f.Listen, "", in)
		synctest.Wait()
		if _, err := fx.targets[0].Read(make([]byte, 1)); err != syscall.ECONNRESET || fx.incoming != 0 || fx.connecting != 0 {
			t.Errorf("%v, %d, %d", err, fx.incoming, fx.connecting)
		}
	})
}

// TestIncomingDials has the connect bounded, and ended with the forward.
func TestIncomingDials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, func(fx *fixture) {
			fx.cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				<-ctx.Done()
				return nil, fmt.Errorf("%s %s: %w", network, addr, ctx.Err())
			}
		})
		a, f := newServer("a"), remote(1, "x")
		fx.Serve(a)
		if _, err := fx.Add(t.Context(), f, control.ForwardOptions{Network: "tcp4"}, fx.owner(), true); err != nil {
			t.Fatal(err)
		}
		in, _ := newIncoming()
		fx.Incoming(a, f.Listen, "", in)
		if got := <-in.verdict; !strings.Contains(got, "tcp4 x:80: context deadline exceeded") || time.Since(fx.began) != dialMost {
			t.Errorf("%s, %v", got, time.Since(fx.began))
		}
		in, _ = newIncoming()
		fx.Incoming(a, f.Listen, "", in)
		synctest.Wait()
		fx.CancelAll()
		if got := <-in.verdict; !strings.Contains(got, "canceled") || time.Since(fx.began) != dialMost {
			t.Errorf("%s, %v", got, time.Since(fx.began))
		}
	})
}

// TestIncomingDynamic is SOCKS on the server's side, with PermitRemoteOpen.
func TestIncomingDynamic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, c := range []struct {
			permit string
			err    error
			want   byte
		}{
			{"", nil, 0}, {"inner:80", nil, 0}, {"none", nil, 2}, {"inner:81", nil, 2},
			{"", syscall.ECONNREFUSED, 5}, {"", &net.DNSError{}, 4}, {"", context.DeadlineExceeded, 4}, {"", errTest, 1},
		} {
			fx := newFixture(t, func(fx *fixture) { fx.dialErr = c.err })
			a, f := newServer("a"), remoteDynamic(1)
			fx.Serve(a)
			if _, err := fx.Add(t.Context(), f, control.ForwardOptions{Permit: strings.Fields(c.permit)}, fx.owner(), true); err != nil {
				t.Fatal(err)
			}
			in, client := newIncoming()
			fx.Incoming(a, f.Listen, "", in)
			client.Write([]byte("\x05\x01\x00\x05\x01\x00\x03\x05inner\x00\x50ahead"))
			b := make([]byte, 12)
			if _, err := io.ReadFull(client, b); err != nil || b[3] != c.want {
				t.Errorf("%+v: %x, %v", c, b, err)
			}
			synctest.Wait()
			if c.want != 0 {
				if _, err := client.Read(b); err != io.EOF || fx.incoming != 0 || fx.connecting != 0 {
					t.Errorf("%+v: %v, %d, %d", c, err, fx.incoming, fx.connecting)
				}
				if st := fx.state(f); !strings.HasPrefix(st.LastErr, "connect to inner:80: ") {
					t.Errorf("%+v", st)
				}
				continue
			}
			client.CloseWrite()
			if got, err := io.ReadAll(fx.targets[0]); string(got) != "ahead" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			fx.targets[0].Close()
			synctest.Wait()
			if st := fx.state(f); st.Out != 5 || st.Total != 1 || fx.incoming != 0 {
				t.Errorf("%+v", st)
			}
		}
	})
}

// TestIncomingDynamicSlow ends who does not say what it wants, or whose forward
// ended.
func TestIncomingDynamicSlow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		a, f := newServer("a"), remoteDynamic(1)
		fx.Serve(a)
		fx.add(t, f, fx.owner())
		for _, want := range []time.Duration{handshakeMost, time.Second} {
			began := time.Now()
			in, client := newIncoming()
			fx.Incoming(a, f.Listen, "", in)
			if want < handshakeMost {
				time.AfterFunc(want, fx.CancelAll)
			}
			if _, err := client.Read(make([]byte, 1)); err != io.EOF || time.Since(began) != want {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		}
	})
}

// TestPermitted holds the patterns of PermitRemoteOpen.
func TestPermitted(t *testing.T) {
	for _, c := range []struct {
		patterns string
		host     string
		port     int
		want     bool
	}{
		{"", "x", 1, true},
		{"any", "x", 1, true},
		{"none", "x", 1, false},
		{"x:1", "x", 1, true},
		{"x:1", "x", 2, false},
		{"x:1", "y", 1, false},
		{"x:1", "X", 1, false},
		{"x:*", "x", 999, true},
		{"*:80", "y", 80, true},
		{"*:80", "y", 81, false},
		{"*:*", "y", 81, true},
		{"a:1 b:2 x:1", "x", 1, true},
		{"[::1]:22", "::1", 22, true},
		{"[::1]:*", "::1", 23, true},
		{"[::1]:22", "::1", 23, false},
		{"[::1]", "::1", 22, false},
		{"[::1", "::1", 22, false},
		{"x:http", "x", 80, true},
		{"x:nosuchservice", "x", 80, false},
		{"x*:80", "xy", 80, false},
		{"x", "x", 80, false},
		{"x/80", "x", 80, true},
	} {
		if got := permitted(strings.Fields(c.patterns), at(c.host, c.port)); got != c.want {
			t.Errorf("%q lets %s:%d through: %v", c.patterns, c.host, c.port, got)
		}
	}
}

// TestIncomingBusy fills the places. A thousand come for a target that accepts
// nothing, or accepts and never reads, while another connection flows.
func TestIncomingBusy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		fx := newFixture(t, nil)
		dial := fx.Set.cfg.Dial
		fx.Set.cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "slow:80" {
				<-gate
			}
			return dial(ctx, network, addr)
		}
		a := newServer("a")
		fx.Serve(a)
		fx.add(t, remote(1, "slow"), fx.owner())
		fx.add(t, remote(2, "quick"), fx.owner())
		good, client := newIncoming()
		fx.Incoming(a, at("localhost", 2), "", good)
		synctest.Wait()

		var all []*incoming
		var senders []*side
		stuck := make(chan struct{})
		for range 1000 {
			in, far := newIncoming()
			in.stuck = stuck // not even a refusal is taken
			fx.Incoming(a, at("localhost", 1), "", in)
			all, senders = append(all, in), append(senders, far)
		}
		if fx.connecting != mostConnecting || time.Since(fx.began) != 0 {
			t.Errorf("%d are being connected, after %v", fx.connecting, time.Since(fx.began))
		}
		close(gate)
		synctest.Wait()
		for _, far := range senders[:mostConnecting] {
			go far.Write(make([]byte, 1<<21)) // more than anything between takes
		}
		synctest.Wait()
		go client.Write([]byte(strings.Repeat("flow", 1<<18)))
		if n, err := io.CopyN(io.Discard, fx.targets[0], 1<<20); err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		close(stuck)
		synctest.Wait()
		verdicts := map[string]int{}
		for _, in := range all {
			verdicts[<-in.verdict]++
		}
		if verdicts["accepted"] != mostConnecting || verdicts["busy"] != 1000-mostConnecting {
			t.Errorf("%v", verdicts)
		}
		if fx.connecting != 0 || fx.refusing != 0 || fx.Open() != mostConnecting+1 || fx.incoming != mostConnecting+1 {
			t.Errorf("%d being connected, %d refused, %d open, %d incoming", fx.connecting, fx.refusing, fx.Open(), fx.incoming)
		}
		fx.Close()
		synctest.Wait()
		if fx.Open() != 0 || fx.incoming != 0 {
			t.Errorf("%d open, %d incoming", fx.Open(), fx.incoming)
		}
	})
}

// TestIncomingOpenBound is that of all connections, however they were made.
func TestIncomingOpenBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		a := newServer("a")
		fx.Serve(a)
		fx.add(t, remote(1, "x"), fx.owner())
		fx.add(t, remoteDynamic(2), fx.owner())
		for i := range mostIncoming + 10 {
			in, _ := newIncoming()
			fx.Incoming(a, at("localhost", 1+i%2), "", in)
			want := "accepted"
			if i >= mostIncoming {
				want = "busy"
			}
			if got := <-in.verdict; got != want {
				t.Fatalf("%d: %s", i, got)
			}
			synctest.Wait()
		}
	})
}

// TestRogueServer opens what nobody asked for and takes no refusal.
func TestRogueServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		a := newServer("a")
		fx.Serve(a)
		stuck := make(chan struct{})
		for i := range mostRefusing {
			in, _ := newIncoming()
			in.stuck = stuck
			fx.Incoming(a, at("localhost", 1+i), "", in) // returns
		}
		waits := make(chan struct{})
		in, _ := newIncoming()
		in.stuck = stuck
		go func() { fx.Incoming(a, at("localhost", 1), "", in); close(waits) }()
		synctest.Wait()
		select {
		case <-waits:
			t.Error("more than the bound are kept")
		default:
		}
		close(stuck)
		<-waits
		synctest.Wait()
		if fx.refusing != 0 {
			t.Error(fx.refusing)
		}
	})
}
