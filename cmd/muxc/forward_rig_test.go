package main

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// forwardStatus is what the tests look at of a forward in muxd status --json.
type forwardStatus struct {
	Kind, Option, State string
	Since               time.Time
	Sticky              bool
	Owners              []int
	Open                int
	Total               int64
	BytesIn             int64     `json:"bytes_in"`
	BytesOut            int64     `json:"bytes_out"`
	LastError           string    `json:"last_error"`
	Next                time.Time `json:"next_attempt"`
	Probe               *struct {
		OK    bool
		Error string
	}
}

// forwards are those of all hosts, in their order.
func (h *host) forwards() (all []forwardStatus) {
	h.t.Helper()
	for _, host := range h.status().Hosts {
		all = append(all, host.Forwards...)
	}
	return all
}

// forward is the one that the option names; its state is "" where there is none.
func (h *host) forward(option string) forwardStatus {
	h.t.Helper()
	for _, f := range h.forwards() {
		if f.Option == option {
			return f
		}
	}
	return forwardStatus{}
}

// becomes waits until the forward is in the state, and returns it as it then is.
func (h *host) becomes(option, state string) (f forwardStatus) {
	h.t.Helper()
	if !until(long, func() bool { f = h.forward(option); return f.State == state }) {
		h.t.Fatalf("%s is not %q: %+v", option, state, f)
	}
	return f
}

// stand starts muxc -N with these options and waits until every forward that it
// asked for stands.
func (h *host) stand(args ...string) *running {
	h.t.Helper()
	wanted := 0
	for _, a := range args {
		if slices.Contains([]string{"-L", "-R", "-D"}, a) {
			wanted++
		}
	}
	p := h.start(h.muxc(append(append([]string{"-N"}, args...), "box")...), blocked(h.t))
	h.stands(p, wanted)
	return p
}

// stands waits until n forwards of a process stand.
func (h *host) stands(p *running, n int) {
	h.t.Helper()
	active := func() (active int) {
		for _, f := range h.forwards() {
			if f.State == "active" && slices.Contains(f.Owners, p.cmd.Process.Pid) {
				active++
			}
		}
		return active
	}
	if !until(long, func() bool { return closed(p.done) || active() == n }) || closed(p.done) {
		h.t.Fatalf("%q: %d forwards of %d stand: stderr %q\n%+v", p.cmd.Args, active(), n, p.err.String(), h.forwards())
	}
}

// over ends a client that stands, and waits until its forwards are gone.
func (h *host) over(p *running) {
	h.t.Helper()
	p.cmd.Process.Kill()
	<-p.done
	h.eventually("its forwards are gone", func() bool {
		return !slices.ContainsFunc(h.forwards(), func(f forwardStatus) bool { return slices.Contains(f.Owners, p.cmd.Process.Pid) })
	})
}

// loopback is an address of this machine that only it reaches, with a port.
func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// accepts reports whether somebody listens there.
func accepts(addr string) bool {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	c, err := net.DialTimeout(network, addr, soon)
	closeIf(c, err)
	return err == nil
}

// accepting are those of a machine's addresses on which a port is listened on.
// 127.0.0.2 is one that nobody names: who listens there does so everywhere.
func accepting(port int) (all []string) {
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
		if accepts(net.JoinHostPort(host, strconv.Itoa(port))) {
			all = append(all, host)
		}
	}
	return all
}

// needIPv6 skips a test where the machine has none.
func needIPv6(t testing.TB) {
	t.Helper()
	sshtest.Require(t, "ipv6")
}

// at is a port as an option has it.
func at(format string, ports ...any) string { return fmt.Sprintf(format, ports...) }

// readAll is what comes until the other end ends its direction.
func readAll(c stream) (string, error) {
	b, err := io.ReadAll(c)
	return string(b), err
}
