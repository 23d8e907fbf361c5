package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var silent = flag.Int("silent", 40, "connections that say nothing which TestThousandSilent makes")

// crowdVar has this program, in place of tests, be so many connections to a socket:
// PATH:NUMBER:WHAT EACH SAYS, which ends with its standard input.
const crowdVar = "MUX_TEST_CROWD"

func init() {
	path, rest, ok := strings.Cut(os.Getenv(crowdVar), ":")
	if !ok {
		return
	}
	many, how, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(many)
	if err != nil {
		fatal(fmt.Errorf("%s: %w", crowdVar, err))
	}
	up := make(chan error)
	for range n {
		go func() {
			for first := true; ; first = false {
				err := loiter(path, crowds[how], func() {
					if first {
						up <- nil
					}
				})
				if first && err != nil {
					up <- err
				}
				time.Sleep(time.Second) // it was cut, and comes again
			}
		}()
	}
	for range n {
		if err := <-up; err != nil {
			fatal(err)
		}
	}
	fmt.Println("full")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// loiter is one connection, from when it says what it says, which is told, to the
// other side's end.
func loiter(path string, c crowd, there func()) error {
	nc, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, c.says); err != nil {
		return err
	}
	for more := c.asks; more != ""; {
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := io.WriteString(nc, more); errors.Is(err, os.ErrDeadlineExceeded) {
			break // it reads no more
		} else if err != nil {
			return err
		}
	}
	there()
	if c.asks != "" {
		select {} // and reads nothing
	}
	_, err = io.Copy(io.Discard, nc)
	return err
}

// crowd is what each of many connections says, and asks again and again without
// reading an answer.
type crowd struct {
	says, asks string
	door       bool // of a ControlPath
}

// muxMessage is one of OpenSSH's protocol (PROTOCOL.mux): its length, and numbers.
func muxMessage(fields ...uint32) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(4*len(fields)))
	for _, f := range fields {
		b = binary.BigEndian.AppendUint32(b, f)
	}
	return string(b)
}

var crowds = map[string]crowd{
	"nothing":                   {},
	"half a preface":            {says: "MUXD\x00"},
	"nothing to a door":         {door: true},
	"half of HELLO to a door":   {says: muxMessage(1, 4)[:7], door: true},
	"HELLO to a door":           {says: muxMessage(1, 4), door: true},
	"half a request to a door":  {says: muxMessage(1, 4) + muxMessage(0x10000002, 7, 0, 0, 0)[:9], door: true},
	"deaf to a door's messages": {says: muxMessage(1, 4), asks: strings.Repeat(muxMessage(0x10000004, 1), 100), door: true},
}

// TestThousandSilent has many connections of other processes that keep muxd busy
// with nothing, and come again when they are cut, at its socket and at a
// ControlPath. Beside them commands and muxd status go on, each costs little memory,
// and when they leave, muxd has what it had.
func TestThousandSilent(t *testing.T) {
	t.Parallel()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	many := *silent
	if room := int(limit.Max)/2 - 200; many > room {
		t.Logf("%d of them, as many as a limit of %d descriptors has room for", room, limit.Max)
		many = room
	}
	r := newRated(t)
	path := filepath.Join(r.dir, "door")
	r.start(r.muxc("-fNM", "-S", path, "box"), nil).wait().is(t, "", "", 0)
	r.clients(20, 10)
	names := []string{"nothing", "nothing to a door", "deaf to a door's messages", "half a preface", "half of HELLO to a door", "HELLO to a door", "half a request to a door"}
	if many < 100 {
		names = names[:3] // the others are a matter of numbers
	}
	for _, name := range names {
		r.crowded(t, name, path, many)
	}
	if n := r.srv.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// silentMost is what one such connection may cost muxd: three goroutines' stacks
// and a message.
const silentMost = 48 << 10

// settled is how many descriptors muxd has once those of whoever left before are
// closed: with them counted, all would seem to be missing some for ever.
func (r *rated) settled() (n int) {
	r.eventually("descriptors settle", func() bool {
		n = r.descriptors()
		time.Sleep(200 * time.Millisecond)
		return r.descriptors() == n
	})
	return n
}

// crowded is one kind of them.
func (r *rated) crowded(t *testing.T, name, path string, many int) {
	before, resident := r.settled(), r.resident()
	c := crowds[name]
	if !c.door {
		path = r.socket()
	}
	var ends []func()
	each := 250 // in a process
	for n := 0; n < many; n += each {
		p := r.host.command(os.Args[0])
		p.Env = append(p.Env, fmt.Sprintf("%s=%s:%d:%s", crowdVar, path, min(each, many-n), name))
		in, end := pipe(t)
		run := r.start(p, in)
		run.says("full")
		ends = append(ends, func() { end.Close(); run.wait() })
	}
	if c.door {
		r.eventually(name+": all are there", func() bool { return r.descriptors() >= before+many })
	}
	opens := r.clients(50, max(10, many/10))
	most := time.Duration(0)
	for range max(1, many/200) {
		s := r.quick(r.host.command("muxd", "status", "--json"))
		if s.code != 0 || s.err != "" {
			t.Errorf("%s: muxd status: %+v", name, s)
		}
		most = max(most, s.took)
	}
	took := r.descriptors() - before
	grown := r.resident() - resident
	for _, end := range ends {
		end()
	}
	if grown > int64(many)*silentMost+garbage {
		t.Errorf("%s: %d KiB for each", name, grown>>10/int64(many))
	}
	if took > many+300 { // those that come again while muxd has not cut the last yet
		t.Errorf("%s: %d descriptors", name, took)
	}
	r.eventually(name+": descriptors are free", func() bool { return r.descriptors() <= before })
	t.Logf("%s, %d of them, %d in: %s; muxd status within %v; %d KiB more, %.1f KiB each", name, many, took, spread(opens), most.Round(time.Millisecond),
		grown>>10, float64(grown)/1024/float64(max(took, 1)))
}
