package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// While bytes flow in bulk, every packet is an allocation of the SSH library's,
// and with Go's default the small heap of an idle muxd is collected a hundred
// times a second: a fifth of its processor time is the collector's, the page
// faults' that follow it and the scavenger's. So it is collected less often then,
// for 20 or 30 MiB that are given back when the flow ends. Whichever way the bytes
// go, by either door or through a forward, the packets are the SSH library's, and
// so are the collections by which bulk shows. GOMEMLIMIT holds all the while.
const (
	// restPercent and bulkPercent are GOGC at rest and in bulk.
	restPercent = 100
	bulkPercent = 400
	// bulkGarbage is how much may lie about in bulk before it is collected, in
	// bytes: with a thousand idle hosts in the heap, a percentage of it would be
	// hundreds of MiB, which no cache holds. Four times as much costs more
	// processor time, in page faults and misses, than it saves.
	bulkGarbage = 32 << 20
	// bulkCycles collections within bulkWindow are bulk.
	bulkCycles = 8
	bulkWindow = 400 * time.Millisecond
	// restCheck is how often it is looked whether bulk goes on, and restCycles
	// are as few collections between two looks as are no bulk.
	restCheck  = 2 * time.Second
	restCycles = 4
)

// pacer decides, by the collections that there were, how often there shall be
// more. Its methods are given the time and are called from one goroutine at a
// time.
type pacer struct {
	recent [bulkCycles]time.Time // of the last collections, a ring
	next   int
	bulk   bool
	since  int // collections since the last look
}

// collected notes a collection, and reports whether bulk has begun with it.
func (p *pacer) collected(now time.Time) (begins bool) {
	p.since++
	first := p.recent[p.next]
	p.recent[p.next] = now
	p.next = (p.next + 1) % bulkCycles
	if p.bulk || first.IsZero() || now.Sub(first) > bulkWindow {
		return false
	}
	p.bulk, p.since = true, 0
	return true
}

// look reports whether bulk has ended; it is called every restCheck while there
// is some.
func (p *pacer) look() (ends bool) {
	ends = p.since < restCycles
	p.since = 0
	if ends {
		p.bulk, p.recent = false, [bulkCycles]time.Time{}
	}
	return ends
}

// percent is GOGC for bulk beside so many bytes that are in use.
func percent(live uint64) int {
	return int(min(max(100*bulkGarbage/max(live, 1), restPercent), bulkPercent))
}

// live is what the last collection found in use, in bytes.
func live() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}

// cycle is an object that nobody holds: that it goes is how a collection shows
// without looking for one.
type cycle struct{ _ [16]byte }

// pace has a pacer at work from now on. It costs nothing while nothing is
// collected. Whoever set GOGC knows better.
func pace(getenv func(string) string) {
	if getenv("GOGC") != "" {
		return
	}
	var mu sync.Mutex // guards p
	var p pacer
	var watch func()
	rest := func() {
		mu.Lock()
		ends := p.look()
		mu.Unlock()
		if !ends {
			debug.SetGCPercent(percent(live()))
			watch()
			return
		}
		debug.SetGCPercent(restPercent)
		debug.FreeOSMemory()
	}
	watch = func() { time.AfterFunc(restCheck, rest) }
	var again func(struct{})
	again = func(struct{}) {
		mu.Lock()
		begins := p.collected(time.Now())
		mu.Unlock()
		if begins {
			debug.SetGCPercent(percent(live()))
			watch()
		}
		runtime.AddCleanup(new(cycle), again, struct{}{})
	}
	runtime.AddCleanup(new(cycle), again, struct{}{})
}
