package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"muxd/internal/sshtest"
)

// Nothing is written to a connection whose reading has ended: a channel open
// that went out in between would never be answered, and its goroutine stay.
func TestNoWriteBehindTheLastRead(t *testing.T) {
	near, far := sshtest.Pipe()
	w := New(near)
	defer w.Close()
	if _, err := w.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	far.Close()
	for b := make([]byte, 16); ; {
		if _, err := w.Read(b); err != nil {
			break
		}
	}
	if n, err := w.Write([]byte("behind")); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%d, %v", n, err)
	}
}

// ends is a connection that reads nothing but its end, and whose writes fail so
// long after it began.
type ends struct {
	net.Conn
	at  time.Time
	err error
}

func (e ends) Read([]byte) (int, error) { return 0, io.EOF }

func (e ends) Write([]byte) (int, error) {
	time.Sleep(time.Until(e.at))
	return 0, &net.OpError{Op: "write", Err: os.NewSyscallError("write", e.err)}
}

func (e ends) Close() error { return nil }

// The kernel tells once why it ended a connection. Where it told a writer, the end
// of what is read says it, be the writer still on its way; and where no writer
// knows, nobody is waited for, or not for long.
func TestEndIsWhatAWriterWasTold(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration // the write fails
		err   error
		want  error
		took  time.Duration
	}{
		{"told", 0, syscall.ETIMEDOUT, syscall.ETIMEDOUT, 0},
		{"told, and on its way", writerTells / 2, syscall.EHOSTUNREACH, syscall.EHOSTUNREACH, writerTells / 2},
		{"told no more than the end", writerTells / 2, syscall.EPIPE, io.EOF, writerTells / 2},
		{"nobody writes", 0, nil, io.EOF, 0},
		{"waits on", 2 * writerTells, syscall.ETIMEDOUT, io.EOF, writerTells},
	} {
		for name, wrote := range map[string]time.Duration{"by itself": time.Second, "by the flusher": 0} {
			synctest.Test(t, func(t *testing.T) {
				w := New(ends{at: time.Now().Add(c.after), err: c.err})
				began := time.Now()
				if c.err != nil {
					w.wrote = began.Add(-wrote)
					go w.Write([]byte("x"))
				}
				synctest.Wait()
				_, err := w.Read(make([]byte, 1))
				if took := time.Since(began); !errors.Is(err, c.want) || took != c.took {
					t.Errorf("%s, %s: %v after %v", c.name, name, err, took)
				}
				time.Sleep(c.after)
				w.Close()
			})
		}
	}
}
