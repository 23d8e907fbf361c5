package top

import (
	"time"

	"muxd/control"
	"muxd/internal/table"
)

// kept is how many samples a curve has: more than the widest terminal shows.
const kept = 512

// forgotten is how many samples without a host it takes until its curves go:
// longer than a muxd that is restarted is away.
const forgotten = 60

// past is what there was of one host.
type past struct {
	at         time.Time // of the newest sample; zero: there is none to compare with
	in, out    int64
	inRate     float64 // bytes a second; below zero: unknown
	outRate    float64
	rtt, rates []float64 // milliseconds; bytes a second both ways
	gone       int       // samples in a row without the host
}

// add notes a sample. A count that fell is that of another muxd.
func (p *past) add(at time.Time, h *control.HostStatus) {
	p.inRate, p.outRate = -1, -1
	if d := at.Sub(p.at).Seconds(); len(h.Links) > 0 && !p.at.IsZero() && d > 0 && h.In >= p.in && h.Out >= p.out {
		p.inRate, p.outRate = float64(h.In-p.in)/d, float64(h.Out-p.out)/d
	}
	p.at, p.in, p.out, p.gone = at, h.In, h.Out, 0
	rtt := -1.0
	if r := roundTrip(h); r > 0 {
		rtt = float64(r) / float64(time.Millisecond)
	}
	p.push(rtt, max(-1, p.inRate+p.outRate))
}

// gap notes a sample that lacks the host, and reports whether it is forgotten.
func (p *past) gap(time.Time) bool {
	p.at = time.Time{}
	p.push(-1, -1)
	p.gone++
	return p.gone >= forgotten
}

func (p *past) push(rtt, rate float64) {
	p.rtt, p.rates = append(p.rtt, rtt), append(p.rates, rate)
	if n := len(p.rtt) - kept; n > 0 {
		p.rtt, p.rates = p.rtt[n:], p.rates[n:]
	}
}

// roundTrip is that of the host's connection; 0 where there is none.
func roundTrip(h *control.HostStatus) time.Duration {
	if l := table.Link(h); l != nil {
		return l.RTT
	}
	return 0
}
