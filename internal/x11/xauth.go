package x11

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// slack is by how much a generated credential outlives the time during which
// connections are let through (clientloop.c, X11_TIMEOUT_SLACK): after its end an
// X server may take a client that shows it for one that shows nothing.
const slack = 60 * time.Second

// maxTimeout is the longest that xauth is asked for: UINT_MAX seconds.
const maxTimeout = (1<<32 - 1) * time.Second

// Run runs a program with its arguments, as a child of the person's client and
// without a shell, and returns its output. The error is of a program that could
// not be started, or ended with another status than 0; there may be output all
// the same.
type Run func(ctx context.Context, args []string) (output []byte, err error)

// errUntrusted is ssh's, of untrusted forwarding that cannot be had.
var errUntrusted = errors.New("untrusted X11 forwarding setup failed: xauth key data not generated")

// noData is ssh's warning where xauth knows nothing of the display.
const noData = "Warning: No xauth data; using fake authentication data for X11 forwarding."

// Credentials asks xauth, the path of that program, what the X server of a
// display accepts, as clientloop.c, client_x11_get_proto does. Trusted: what
// xauth lists for it; where that is nothing, a random cookie and a warning for
// the client, because the server may let this machine in without. Untrusted:
// a credential that xauth has the X server make, with which less is allowed,
// and which ends a minute after timeout; 0 is without end. That nothing comes of
// it is an error: the other credential would allow everything. After timeout the
// caller is to let no more connections through.
//
// dir makes a private directory for xauth's file, with what removes it; it is
// called where untrusted only. Credentials takes as long as xauth does, which
// for untrusted ones talks to the X server: ctx bounds it.
func Credentials(ctx context.Context, run Run, xauth, display string, trusted bool, timeout time.Duration,
	dir func() (string, func(), error)) (a Auth, warning string, err error) {
	if _, err := ParseDisplay(display); err != nil {
		return Auth{}, "", err
	}
	// A display of this machine by TCP, as sshd makes one, is listed by the
	// machine's name, not as localhost.
	if n, local := strings.CutPrefix(display, "localhost:"); local {
		display = "unix:" + n
	}
	if !trusted {
		a, err := generate(ctx, run, xauth, display, timeout, dir)
		return a, "", err
	}
	// As in ssh, only what was printed counts. Of a program that is not there
	// nothing was.
	out, _ := run(ctx, []string{xauth, "list", display})
	if err := ctx.Err(); err != nil {
		return Auth{}, "", err
	}
	if a, ok := parseList(out); ok {
		return a, "", nil
	}
	a = Auth{Proto: magicCookie, Data: make([]byte, len(Cookie{}))}
	rand.Read(a.Data) // never fails
	return a, noData, nil
}

func generate(ctx context.Context, run Run, xauth, display string, timeout time.Duration,
	dir func() (string, func(), error)) (Auth, error) {
	d, remove, err := dir()
	if err != nil {
		return Auth{}, fmt.Errorf("untrusted X11 forwarding: %w", err)
	}
	defer remove()
	file := filepath.Join(d, "xauthfile")
	args := []string{xauth, "-f", file, "generate", display, magicCookie, "untrusted"}
	if timeout > 0 {
		args = append(args, "timeout", seconds(timeout))
	}
	if _, err := run(ctx, args); err != nil {
		return Auth{}, fmt.Errorf("%w: %w", errUntrusted, err)
	}
	out, err := run(ctx, []string{xauth, "-f", file, "list", display})
	if a, ok := parseList(out); ok {
		return a, nil
	}
	if err != nil {
		return Auth{}, fmt.Errorf("%w: %w", errUntrusted, err)
	}
	return Auth{}, errUntrusted
}

// seconds is the time for which xauth asks, for connections during timeout. A
// part of a second counts as one.
func seconds(timeout time.Duration) string {
	if timeout >= maxTimeout-slack {
		return strconv.FormatInt(int64(maxTimeout/time.Second), 10)
	}
	return strconv.FormatInt(int64((timeout+slack+time.Second-1)/time.Second), 10)
}

// parseList reads what xauth lists: lines of a display, the way of authorization
// and its data in hexadecimal. It takes the first that is a magic cookie, the
// only way that survives forwarding, and else the first, as ssh does.
func parseList(out []byte) (Auth, bool) {
	var first Auth
	for line := range bytes.Lines(out) {
		a, ok := parseEntry(string(line))
		if ok && a.Proto == magicCookie {
			return a, true
		}
		if ok && first.Proto == "" {
			first = a
		}
	}
	return first, first.Proto != ""
}

func parseEntry(line string) (Auth, bool) {
	words := strings.Fields(line)
	if len(words) != 3 || len(words[1]) > maxProto || !name(words[1]) {
		return Auth{}, false
	}
	data, err := hex.DecodeString(words[2])
	if err != nil || len(data) == 0 || len(data) > maxData {
		return Auth{}, false
	}
	return Auth{Proto: words[1], Data: data}, true
}

// name reports a name as the ways of authorization have them.
func name(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}
