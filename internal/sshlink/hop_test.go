package sshlink

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"muxd/internal/dest"
	"muxd/internal/sshconf"
	"muxd/internal/sshtest"
)

// inner is a destination behind a jump host.
func inner() *dest.Destination {
	return &dest.Destination{Name: "inner", Host: "inner", Port: 22, Conf: &sshconf.Config{}, Via: &dest.Destination{Name: "host"}}
}

// hopped runs f with a connection through a jump host, which nobody reads at the
// other end.
func hopped(t *testing.T, opts sshtest.Options, f func(t *testing.T, l *Link, srv *sshtest.Server, nc net.Conn)) {
	opts.Direct = func(context.Context, string) (io.ReadWriteCloser, error) {
		near, _ := sshtest.Pipe()
		return near, nil
	}
	linked(t, opts, func(t *testing.T, l *Link, srv *sshtest.Server) {
		nc, err := l.Dial(t.Context(), user(), inner())
		if err != nil {
			t.Fatal(err)
		}
		f(t, l, srv, nc)
	})
}

// The end of a connection through a jump host ends its readers and writers at once,
// whether the far end does not read, or the jump host does not, or does not answer;
// and the jump host's connection goes on.
func TestHopEndsWhoReadsAndWrites(t *testing.T) {
	end := map[string]struct {
		end func(nc net.Conn)
		err error
	}{
		"Close":       {func(nc net.Conn) { nc.Close() }, net.ErrClosed},
		"SetDeadline": {func(nc net.Conn) { nc.SetDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
	}
	block := map[string]func(srv *sshtest.Server){
		"window": func(*sshtest.Server) {},
		"wire":   func(srv *sshtest.Server) { srv.Last().Pipe().Stall() },
	}
	for by, end := range end {
		for where, block := range block {
			t.Run(by+" "+where, func(t *testing.T) {
				hopped(t, sshtest.Options{Buffer: 64 << 10}, func(t *testing.T, l *Link, srv *sshtest.Server, nc net.Conn) {
					block(srv)
					told := make(chan error, 2)
					go func() { _, err := io.Copy(io.Discard, nc); told <- err }()
					go func() {
						for {
							if n, err := nc.Write(make([]byte, 1<<20)); err != nil {
								if n != 0 {
									t.Errorf("%d bytes of the last write are told as written", n)
								}
								told <- err
								return
							}
						}
					}()
					time.Sleep(time.Second)
					if synctest.Wait(); len(told) > 0 {
						t.Fatal("not blocked")
					}
					begin := time.Now()
					end.end(nc)
					for range 2 {
						select {
						case err := <-told:
							if !errors.Is(err, end.err) {
								t.Error(err)
							}
						case <-time.After(time.Second):
							l.Fail(ErrAsked) // which ends who waits still
							t.Fatal("it does not end")
						}
					}
					if _, err := nc.Write([]byte("x")); !errors.Is(err, end.err) {
						t.Error(err)
					}
					if took := time.Since(begin); took != 0 {
						t.Errorf("after %v", took)
					}
					nc.Close()
					if l.State() != Ready || l.Ending() != nil {
						t.Errorf("the jump host's connection is %v, %v", l.State(), l.Ending())
					}
					srv.Last().Pipe().Resume()
					ends(t, run(t, l, nil, "true"))
				})
			})
		}
	}
}

// Nor does who is about to hear of the end of one wait for that of the jump host's.
func TestHopEndsWhoLooksForTheCause(t *testing.T) {
	hopped(t, sshtest.Options{}, func(t *testing.T, l *Link, srv *sshtest.Server, nc net.Conn) {
		told := make(chan error, 1)
		l.library.list = nil // so that it is waited for
		go func() { _, err := nc.Read(make([]byte, 1)); told <- err }()
		nc.(*hopConn).ch.Close()
		time.Sleep(endRace / 2)
		if synctest.Wait(); len(told) > 0 {
			t.Fatal("not waited for")
		}
		begin := time.Now()
		nc.Close()
		if err := <-told; !errors.Is(err, net.ErrClosed) || time.Since(begin) != 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// What was written before the close arrives, and the far side's end is told at once.
func TestHopDeliversBeforeItCloses(t *testing.T) {
	got := make(chan string, 1)
	linked(t, sshtest.Options{Direct: func(context.Context, string) (io.ReadWriteCloser, error) {
		near, far := sshtest.Pipe()
		go func() {
			b := make([]byte, 5)
			io.ReadFull(far, b)
			got <- string(b)
			far.Close()
		}()
		return near, nil
	}}, func(t *testing.T, l *Link, _ *sshtest.Server) {
		for range 2 {
			nc, err := l.Dial(t.Context(), user(), inner())
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			b := []byte("whole")
			nc.Write(b[:2])
			nc.Write(b[2:])
			copy(b, "XXXXX") // the caller's again
			if got := <-got; got != "whole" {
				t.Errorf("%q", got)
			}
			if n, err := nc.Read(b); n != 0 || err != io.EOF {
				t.Errorf("%d, %v", n, err)
			}
			if took := time.Since(begin); took != 0 {
				t.Errorf("the end is told after %v", took)
			}
			nc.Close()
		}
	})
}
