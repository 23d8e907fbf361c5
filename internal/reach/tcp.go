package reach

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	// headStart is how long an address has to itself before the next one is
	// tried beside it (RFC 8305 section 5, Connection Attempt Delay).
	headStart = 250 * time.Millisecond
	// triedMax and triedText bound the line about a server that no address
	// reaches: how many addresses it names, and what is said of each.
	triedMax  = 6
	triedText = 120
)

// TCP connects to whichever address of a name answers first: "happy eyeballs",
// RFC 8305. ssh tries one address after the other and, behind a family that is
// routed into nothing, waits for each of them (sshconnect.c, ssh_connect_direct).
//
// It knows neither sockets nor clocks but by its functions.
type TCP struct {
	// Resolve finds the addresses of a name; nil leaves that to Dial.
	Resolve func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// Dial connects to one address; nil is the system.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Limit bounds the lookup, and each address, as ssh's ConnectTimeout does.
	Limit time.Duration
	// Again is how long an address may leave a connect without any answer before
	// another one is begun beside it; zero is for ever. The system repeats the
	// first packet of a connect more and more seldom, so that a path that is whole
	// again after an outage would be noticed seconds late.
	Again time.Duration
	// BindAddress and BindInterface, where one is set, say from where to connect.
	// Then the system does so, and not Dial.
	BindAddress, BindInterface string
	// Note is told what is tried; it may be nil, and is called from several
	// goroutines.
	Note func(format string, args ...any)
}

// Connect looks the name up, every time anew, and races its addresses. network
// is tcp, tcp4 or tcp6. An error that matches *net.DNSError is about the name,
// any other about its addresses, in one line.
func (r TCP) Connect(ctx context.Context, network, host string, port int) (net.Conn, error) {
	r.settle()
	addrs, err := r.lookup(ctx, network, host)
	if err != nil {
		return nil, err
	}
	nc, lost := r.run(ctx, network, addrs, strconv.Itoa(port))
	switch {
	case nc != nil:
		return nc, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case len(lost) == 1 && lost[0].addr == host: // the line names it already
		return nil, lost[0].err
	}
	return nil, &triedError{lost}
}

// lookup returns the addresses in the order in which to try them.
func (r *TCP) lookup(ctx context.Context, network, host string) ([]string, error) {
	if r.Resolve == nil {
		return []string{host}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	found, err := resolve(ctx, r.Resolve, network, host)
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, a := range interleave(found) {
		addrs = append(addrs, a.String())
	}
	return addrs, nil
}

// interleave takes from each family in turn, beginning with that of the first
// address, which is the one the resolver prefers (RFC 8305 section 4). Within a
// family the resolver's order stays.
func interleave(addrs []netip.Addr) []netip.Addr {
	var family [2][]netip.Addr
	for _, a := range addrs {
		other := 0
		if a.Is4() != addrs[0].Is4() {
			other = 1
		}
		family[other] = append(family[other], a)
	}
	all := make([]netip.Addr, 0, len(addrs))
	for i := range addrs {
		for _, f := range family {
			if i < len(f) {
				all = append(all, f[i])
			}
		}
	}
	return all
}

// tried is one address and what became of it.
type tried struct {
	index int
	addr  string
	conn  net.Conn
	err   error
}

// run returns the first connection, or what became of every address. The next
// one starts when its predecessor failed or had its head start; the end of run
// is that of all others. When ctx ends, the attempts end by it, and run with
// the last of them.
func (r *TCP) run(ctx context.Context, network string, addrs []string, port string) (net.Conn, []tried) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended, over := make(chan tried), make(chan struct{})
	defer close(over)
	next := time.NewTimer(0)
	defer next.Stop()
	lost := make([]tried, len(addrs))
	for started, running := 0, 0; ; {
		select {
		case <-next.C:
			go r.try(ctx, network, tried{index: started, addr: addrs[started]}, port, ended, over)
			running++
			if started++; started < len(addrs) {
				next.Reset(headStart)
			}
		case t := <-ended:
			if t.err == nil {
				return t.conn, nil
			}
			lost[t.index] = t
			running--
			more := started < len(addrs) && ctx.Err() == nil
			if !more && running == 0 {
				return nil, lost
			}
			if more {
				next.Reset(0)
			}
		}
	}
}

// try connects to one address. A connection that comes when another has won is
// closed here.
func (r *TCP) try(ctx context.Context, network string, t tried, port string, ended chan<- tried, over <-chan struct{}) {
	own, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	r.noted("connecting to %s port %s", t.addr, port)
	if t.conn, t.err = r.insist(own, network, net.JoinHostPort(t.addr, port)); t.err != nil && ctx.Err() == nil {
		r.noted("connect to %s port %s: %v", t.addr, port, Cause(t.err))
	}
	select {
	case ended <- t:
	case <-over:
		if t.err == nil {
			t.conn.Close()
		}
	}
}

// insist is Dial, begun anew beside the one before while nothing answers. Two
// are under way at most; the first answer, of whatever kind, is the answer.
func (r *TCP) insist(ctx context.Context, network, addr string) (net.Conn, error) {
	if r.Again <= 0 {
		return r.Dial(ctx, network, addr)
	}
	type answer struct {
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers, over := make(chan answer), make(chan struct{})
	defer close(over)
	begin := func() context.CancelFunc {
		own, giveUp := context.WithCancel(ctx)
		go func() {
			c, err := r.Dial(own, network, addr)
			if own.Err() != nil && ctx.Err() == nil { // given up for a younger one
				if c != nil {
					c.Close()
				}
				return
			}
			select {
			case answers <- answer{c, err}:
			case <-over:
				if c != nil {
					c.Close()
				}
			}
		}()
		return giveUp
	}
	older, younger := context.CancelFunc(func() {}), begin()
	again := time.NewTicker(r.Again)
	defer again.Stop()
	for {
		select {
		case a := <-answers:
			older()
			younger()
			return a.conn, a.err
		case <-again.C:
			older()
			older, younger = younger, begin()
		}
	}
}

// noted tells what is tried, if anybody wants to know.
func (r *TCP) noted(format string, args ...any) {
	if r.Note != nil {
		r.Note(format, args...)
	}
}

// triedError says of every address why it was of no use, in one line. It does
// not unwrap: no single cause stands for all of them.
type triedError struct{ lost []tried }

func (e *triedError) Error() string {
	var causes []string
	by := map[string][]string{} // addresses by cause, so that a cause is said once
	for _, t := range e.lost[:min(len(e.lost), triedMax)] {
		cause := fmt.Sprintf("%.*s", triedText, Cause(t.err))
		if by[cause] == nil {
			causes = append(causes, cause)
		}
		by[cause] = append(by[cause], t.addr)
	}
	for i, cause := range causes {
		causes[i] = strings.Join(by[cause], ", ") + ": " + cause
	}
	if more := len(e.lost) - triedMax; more > 0 {
		causes = append(causes, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(causes, "; ")
}
