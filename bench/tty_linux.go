package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// think is how long somebody who types fast pauses. It lets everything that a
	// keystroke set off come to rest.
	think = 4 * time.Millisecond
	// keysInTurn is how many keystrokes one side has before it is the other's.
	keysInTurn = 25
	// underWay is how long a bulk transfer has to get up to speed, and to be
	// known for what it is.
	underWay = time.Second
	// keyLimit is when a keystroke that has no echo has the run fail.
	keyLimit = 30 * time.Second
)

// tty measures a keystroke to its echo, by the far terminal: alone, and while
// the same host sends as much as it can to another client of the same program.
func tty(l *lab, r *section, o options) error {
	for _, c := range []struct {
		host, name string
		bulk       bool
		turns      int
		chart      bool
	}{
		{"lab", "alone", false, 12, true},
		{"lab", "under a download from the same host", true, 6, true},
		{away(distances[0]), "10ms away: alone", false, 4, false},
		{away(distances[0]), "10ms away: under a download", true, 4, true},
	} {
		took, err := l.keystrokes(c.host, c.bulk, o.times(c.turns), o)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		r.add(row{Name: c.name, Unit: "ms", Chart: c.chart, Fresh: some(took[2])}, took[0], took[1])
	}
	return nil
}

// keystrokes has three clients sit at a terminal each and type in turn: muxc,
// ssh -S, and ssh on a connection of its own.
func (l *lab) keystrokes(host string, bulk bool, turns int, o options) (took [3][]float64, err error) {
	if _, err := l.startMaster(host); err != nil {
		return took, err
	}
	clients := [3]func(string, ...string) program{l.muxc, l.muxSSH, l.freshSSH}
	var at [3]*terminal
	for k, client := range clients {
		if at[k], err = sitDown(client(host, "-tt", "stty raw echo; echo "+ready+"; exec cat >/dev/null")); err != nil {
			return took, err
		}
		defer at[k].close()
	}
	order := []int{0, 1, 2}
	for range turns {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, k := range order {
			v, err := at[k].turn(clients[k](host, "cat /dev/zero"), bulk, o)
			if err != nil {
				return took, err
			}
			took[k] = append(took[k], v...)
		}
	}
	return took, nil
}

// turn types for a while, beside a transfer if that is wanted.
func (t *terminal) turn(transfer program, bulk bool, o options) (took []float64, err error) {
	if bulk {
		cmd := client(transfer)
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		time.Sleep(underWay)
	}
	for i := range o.times(keysInTurn) {
		time.Sleep(think)
		d, err := t.key(byte('a' + i%26))
		if err != nil {
			return nil, err
		}
		took = append(took, milliseconds(d))
	}
	return took, nil
}

// terminal is a pseudo-terminal at which a client sits.
type terminal struct {
	ours *os.File
	cmd  *exec.Cmd
}

// ready is what the far side says when its terminal echoes and nothing else is
// to come. By then the client has made the near one raw, which echoes nothing.
const ready = "READY"

func sitDown(p program) (*terminal, error) {
	ours, theirs, err := openPTY()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := client(p)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, err
	}
	t := &terminal{ours, cmd}
	if err := t.await(ready + "\n"); err != nil {
		t.close()
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return t, nil
}

// await reads until a text has come. A carriage return in it does not count.
func (t *terminal) await(text string) error {
	var all []byte
	b := make([]byte, 1)
	for !bytes.HasSuffix(bytes.ReplaceAll(all, []byte("\r"), nil), []byte(text)) {
		t.ours.SetReadDeadline(time.Now().Add(keyLimit))
		if _, err := t.ours.Read(b); err != nil {
			return fmt.Errorf("no %q at the terminal but %q: %w", text, all, err)
		}
		all = append(all, b[0])
	}
	return nil
}

// key is how long a key takes to its echo. Anything else that comes is an error:
// an echo of the near terminal's would be very fast.
func (t *terminal) key(c byte) (time.Duration, error) {
	t.ours.SetReadDeadline(time.Now().Add(keyLimit))
	b := make([]byte, 16)
	start := time.Now()
	if _, err := t.ours.Write([]byte{c}); err != nil {
		return 0, err
	}
	n, err := t.ours.Read(b)
	took := time.Since(start)
	if err == nil && (n != 1 || b[0] != c) {
		err = fmt.Errorf("the echo of %q is %q", c, b[:n])
	}
	return took, err
}

func (t *terminal) close() {
	t.ours.Close() // which hangs up
	t.cmd.Process.Kill()
	t.cmd.Wait()
}

// openPTY returns a new pseudo-terminal: the end that a terminal's window has,
// and the one that programs have.
func openPTY() (ours, theirs *os.File, err error) {
	ours, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	raw, err := ours.SyscallConn()
	if err == nil {
		var n uint32
		err2 := raw.Control(func(fd uintptr) {
			if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
				n, err = unix.IoctlGetUint32(int(fd), unix.TIOCGPTN)
			}
		})
		if err = errors.Join(err, err2); err == nil {
			theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	return ours, theirs, nil
}
