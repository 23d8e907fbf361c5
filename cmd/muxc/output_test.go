package main

import (
	"bytes"
	"hash"
	"sync"
	"sync/atomic"
)

// output collects what a process writes and may be read meanwhile.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// hashing is a hash that may be asked meanwhile how much it has seen.
type hashing struct {
	hash.Hash
	n atomic.Int64
}

func (h *hashing) Write(p []byte) (int, error) {
	h.n.Add(int64(len(p)))
	return h.Hash.Write(p)
}

func (h *hashing) bytes() int64 { return h.n.Load() }
