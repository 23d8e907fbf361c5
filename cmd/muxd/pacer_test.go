package main

import (
	"runtime"
	"testing"
	"time"
)

func TestPacer(t *testing.T) {
	var p pacer
	now := time.Unix(1000, 0)
	// Collections that are far apart are never bulk.
	for range 100 {
		if now = now.Add(bulkWindow / (bulkCycles - 2)); p.collected(now) {
			t.Fatal("bulk at rest")
		}
	}
	began := 0
	for i := range 100 {
		if now = now.Add(10 * time.Millisecond); p.collected(now) {
			began++
			if i >= bulkCycles {
				t.Errorf("bulk is seen after %d collections", i)
			}
		}
	}
	if began != 1 {
		t.Fatalf("bulk began %d times", began)
	}
	if p.look() {
		t.Error("bulk ended while it was going on")
	}
	for range restCycles - 1 {
		p.collected(now)
	}
	if !p.look() {
		t.Error("bulk did not end")
	}
	for i := range bulkCycles {
		if now = now.Add(time.Millisecond); p.collected(now) {
			t.Errorf("collections from before count, %d", i)
		}
	}
	if now = now.Add(time.Millisecond); !p.collected(now) {
		t.Error("bulk did not begin again")
	}
}

func TestPacerPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 400}, {1 << 20, 400}, {8 << 20, 400}, {16 << 20, 200}, {32 << 20, 100}, {1 << 30, 100}} {
		if got := percent(c.live); got != c.want {
			t.Errorf("%d MiB in use: %d, want %d", c.live>>20, got, c.want)
		}
	}
	hold := make([]byte, 8<<20)
	runtime.GC()
	if n := live(); n < uint64(len(hold)) || n > 1<<30 {
		t.Errorf("%d bytes in use", n)
	}
	runtime.KeepAlive(hold)
}
